// Judges a text with `edgeguard stdio` as a child process. With Newtonsoft.Json, on .NET and Mono:
//
//     dotnet run -- "a text"
//     mcs -r:Newtonsoft.Json.dll Judge.cs && mono Judge.exe "a text"
//
// Exit code 0: not flagged, 1: flagged, 2: not judged. Whatever goes wrong is 2, and never 0.

using System;
using System.Diagnostics;
using System.IO;
using System.Text;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

/// The child; it answers one call after the other.
sealed class Guard : IDisposable
{
    readonly Process child;
    readonly StreamWriter input;
    readonly StreamReader output;
    int number;

    public Guard(string model)
    {
        int parent = Process.GetCurrentProcess().Id;
        child = Process.Start(new ProcessStartInfo("edgeguard", $"stdio --model {model} --parent {parent}")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
            CreateNoWindow = true,
        });
        // Without a byte order mark, and not in the encoding of a console.
        var utf8 = new UTF8Encoding(false, true);
        input = new StreamWriter(child.StandardInput.BaseStream, utf8) { AutoFlush = true, NewLine = "\n" };
        output = new StreamReader(child.StandardOutput.BaseStream, utf8);
        if ((int)Call("initialize", new JObject { ["protocol"] = 1 })["protocol"] != 1)
            throw new InvalidDataException("edgeguard speaks another protocol than 1");
    }

    public JObject Check(string text)
    {
        var verdict = Call("check", new JObject { ["text"] = text, ["timeout"] = 60 });
        if (verdict["flagged"]?.Type != JTokenType.Boolean || verdict["severity"]?.Type != JTokenType.String)
            throw new InvalidDataException("edgeguard's answer is no verdict");
        return verdict;
    }

    JObject Call(string method, JObject parameters)
    {
        number++;
        var request = new JObject { ["jsonrpc"] = "2.0", ["id"] = number, ["method"] = method, ["params"] = parameters };
        input.WriteLine(request.ToString(Formatting.None));
        string line;
        while ((line = output.ReadLine()) != null)
        {
            var message = JObject.Parse(line);
            if (message["method"] != null) continue; // a notification: the progress of the load
            if (message["error"] is JObject error) throw new InvalidDataException((string)error["message"]);
            if (message["id"]?.Type != JTokenType.Integer || (int)message["id"] != number)
                throw new InvalidDataException("edgeguard answered something else");
            return message["result"] as JObject ?? throw new InvalidDataException("edgeguard answered nothing");
        }
        throw new EndOfStreamException("edgeguard has ended");
    }

    /// The child ends with its input.
    public void Dispose()
    {
        input.Close();
        child.WaitForExit();
    }
}

static class Judge
{
    static int Main(string[] args)
    {
        try
        {
            using (var guard = new Guard("nano"))
            {
                var verdict = guard.Check(args[args.Length - 1]);
                var names = verdict["categories"].ToString(Formatting.None);
                Console.WriteLine($"{verdict["severity"]} {((bool)verdict["flagged"] ? "true" : "false")} {names}");
                return (bool)verdict["flagged"] ? 1 : 0;
            }
        }
        catch (Exception error)
        {
            Console.Error.WriteLine("not judged: " + error.Message);
            return 2;
        }
    }
}
