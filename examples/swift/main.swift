// Judges a text with `edgeguard stdio` as a child process: swift run judge "a text"
//
// Exit code 0: not flagged, 1: flagged, 2: not judged. Whatever goes wrong is 2, and never 0.
// Written from Foundation's documentation: it was neither compiled nor run here.

import Foundation

struct Verdict {
    let severity: String
    let flagged: Bool
    let categories: [String]
}

struct GuardError: LocalizedError {
    let errorDescription: String?
    init(_ message: String) { errorDescription = message }
}

/// The child; it answers one call after the other.
final class Guard {
    private let child = Process()
    private let input = Pipe(), output = Pipe()
    private var number = 0, rest = Data()

    init(model: String) throws {
        // In a program's bundle: Bundle.main.url(forAuxiliaryExecutable: "edgeguard/edgeguard").
        child.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let parent = String(ProcessInfo.processInfo.processIdentifier)
        child.arguments = ["edgeguard", "stdio", "--model", model, "--parent", parent]
        child.standardInput = input
        child.standardOutput = output
        try child.run()
        guard try call("initialize", ["protocol": 1])["protocol"] as? Int == 1 else {
            throw GuardError("edgeguard speaks another protocol than 1")
        }
    }

    func check(_ text: String) throws -> Verdict {
        let found = try call("check", ["text": text, "timeout": 60])
        guard let severity = found["severity"] as? String, let flagged = found["flagged"] as? Bool,
              let categories = found["categories"] as? [String]
        else { throw GuardError("edgeguard's answer is no verdict") }
        return Verdict(severity: severity, flagged: flagged, categories: categories)
    }

    /// The child ends with its input.
    func close() throws {
        try input.fileHandleForWriting.close()
        child.waitUntilExit()
    }

    private func call(_ method: String, _ params: [String: Any]) throws -> [String: Any] {
        number += 1
        let request: [String: Any] = ["jsonrpc": "2.0", "id": number, "method": method, "params": params]
        var line = try JSONSerialization.data(withJSONObject: request)
        line.append(10)
        try input.fileHandleForWriting.write(contentsOf: line)
        while true {
            guard let message = try JSONSerialization.jsonObject(with: nextLine()) as? [String: Any] else {
                throw GuardError("edgeguard's line is no object")
            }
            if message["method"] != nil { continue }  // a notification: the progress of the load
            if let error = message["error"] as? [String: Any] {
                throw GuardError(error["message"] as? String ?? "an error")
            }
            guard message["id"] as? Int == number, let result = message["result"] as? [String: Any] else {
                throw GuardError("edgeguard answered something else")
            }
            return result
        }
    }

    private func nextLine() throws -> Data {
        while true {
            if let end = rest.firstIndex(of: 10) {
                defer { rest = Data(rest[(end + 1)...]) }
                return Data(rest[..<end])
            }
            let more = output.fileHandleForReading.availableData
            if more.isEmpty { throw GuardError("edgeguard has ended") }
            rest.append(more)
        }
    }
}

signal(SIGPIPE, SIG_IGN)
do {
    let judge = try Guard(model: "nano")
    let verdict = try judge.check(CommandLine.arguments.last ?? "")
    try judge.close()
    print(verdict.severity, verdict.flagged, verdict.categories)
    exit(verdict.flagged ? 1 : 0)
} catch {
    FileHandle.standardError.write(Data("not judged: \(error.localizedDescription)\n".utf8))
    exit(2)
}
