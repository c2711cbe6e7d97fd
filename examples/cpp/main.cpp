// Judges a text with `edgeguard stdio` as a child process, on Linux and macOS. With nlohmann/json:
//
//     c++ -std=c++17 -o judge main.cpp && ./judge "a text"
//
// Exit code 0: not flagged, 1: flagged, 2: not judged. Whatever goes wrong is 2, and never 0. In a Qt
// program QProcess does what `Guard` does here with pipes.

#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>

using nlohmann::json;

/// The child; it answers one call after the other. The program ignores SIGPIPE.
class Guard {
public:
    explicit Guard(const std::string& model) {
        const std::string parent = std::to_string(getpid());
        int in[2], out[2];
        if (pipe(in) || pipe(out)) throw std::runtime_error("no pipes");
        child = fork();
        if (child < 0) throw std::runtime_error("no process");
        if (child == 0) {
            dup2(in[0], 0);
            dup2(out[1], 1);
            for (int end : {in[0], in[1], out[0], out[1]}) close(end);
            execlp("edgeguard", "edgeguard", "stdio", "--model", model.c_str(), "--parent", parent.c_str(), nullptr);
            _exit(127);
        }
        close(in[0]);
        close(out[1]);
        input = fdopen(in[1], "w");
        output = fdopen(out[0], "r");
        if (call("initialize", {{"protocol", 1}}).at("protocol") != 1)
            throw std::runtime_error("edgeguard speaks another protocol than 1");
    }
    Guard(const Guard&) = delete;

    json check(const std::string& text) { return call("check", {{"text", text}, {"timeout", 60}}); }

    /// The child ends with its input.
    ~Guard() {
        fclose(input);
        fclose(output);
        waitpid(child, nullptr, 0);
    }

private:
    pid_t child = -1;
    FILE *input = nullptr, *output = nullptr;
    int number = 0;

    json call(const char* method, const json& params) {
        const json request = {{"jsonrpc", "2.0"}, {"id", ++number}, {"method", method}, {"params", params}};
        fprintf(input, "%s\n", request.dump().c_str());
        fflush(input);
        for (;;) {
            const json message = json::parse(line());
            if (message.contains("method")) continue;  // a notification: the progress of the load
            if (message.contains("error")) throw std::runtime_error(message.at("error").at("message"));
            if (message.at("id") != number) throw std::runtime_error("edgeguard answered something else");
            return message.at("result");
        }
    }

    std::string line() {
        std::string text;
        for (int byte; (byte = getc(output)) != EOF; text += static_cast<char>(byte))
            if (byte == '\n') return text;
        throw std::runtime_error("edgeguard has ended");
    }
};

int main(int argc, char** argv) {
    signal(SIGPIPE, SIG_IGN);
    try {
        Guard guard("nano");
        const json verdict = guard.check(argv[argc - 1]);
        const std::string severity = verdict.at("severity");
        const bool flagged = verdict.at("flagged").get<bool>();  // what is missing, or no bool, throws
        std::cout << severity << (flagged ? " true " : " false ") << verdict.at("categories") << std::endl;
        return flagged ? 1 : 0;
    } catch (const std::exception& error) {
        std::cerr << "not judged: " << error.what() << std::endl;
        return 2;
    }
}
