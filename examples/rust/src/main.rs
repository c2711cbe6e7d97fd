//! Judges a text with `edgeguard stdio` as a child process: `cargo run -- "a text"`
//!
//! Exit code 0: not flagged, 1: flagged, 2: not judged. Whatever goes wrong is 2, and never 0.

use serde_json::{json, Value};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The child; it answers one call after the other.
struct Guard {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    number: u64,
}

struct Verdict {
    severity: String,
    flagged: bool,
    categories: Vec<Value>,
}

impl Guard {
    fn start(model: &str) -> Result<Guard> {
        let parent = std::process::id().to_string();
        let mut child = Command::new("edgeguard")
            .args(["stdio", "--model", model, "--parent", &parent])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut guard = Guard { child, input, output, number: 0 };
        let about = guard.call("initialize", json!({"protocol": 1}))?;
        if about["protocol"] != 1 {
            return Err("edgeguard speaks another protocol than 1".into());
        }
        Ok(guard)
    }

    fn check(&mut self, text: &str) -> Result<Verdict> {
        let found = self.call("check", json!({"text": text, "timeout": 60}))?;
        Ok(Verdict {
            severity: found["severity"].as_str().ok_or("no verdict")?.to_string(),
            flagged: found["flagged"].as_bool().ok_or("no verdict")?,
            categories: found["categories"].as_array().ok_or("no verdict")?.clone(),
        })
    }

    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.number += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params});
        writeln!(self.input, "{request}")?;
        let mut line = String::new();
        loop {
            line.clear();
            self.output.read_line(&mut line)?;
            if !line.ends_with('\n') {
                return Err("edgeguard has ended".into());
            }
            let mut message: Value = serde_json::from_str(&line)?;
            if message.get("method").is_some() {
                continue; // a notification: the progress of the load
            }
            if let Some(error) = message.get("error") {
                return Err(error["message"].as_str().unwrap_or("an error").into());
            }
            if message["id"] != self.number || message.get("result").is_none() {
                return Err("edgeguard answered something else".into());
            }
            return Ok(message["result"].take());
        }
    }

    /// The child ends with its input.
    fn close(mut self) -> Result<()> {
        drop(self.input);
        self.child.wait()?;
        Ok(())
    }
}

fn judge(text: &str) -> Result<Verdict> {
    let mut guard = Guard::start("nano")?;
    let verdict = guard.check(text)?;
    guard.close()?;
    Ok(verdict)
}

fn main() -> ExitCode {
    match judge(&std::env::args().last().unwrap_or_default()) {
        Ok(verdict) => {
            println!("{} {} {:?}", verdict.severity, verdict.flagged, verdict.categories);
            ExitCode::from(verdict.flagged as u8)
        }
        Err(error) => {
            eprintln!("not judged: {error}");
            ExitCode::from(2)
        }
    }
}
