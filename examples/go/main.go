// Judges a text with `edgeguard stdio` as a child process: go run . "a text"
//
// Exit code 0: not flagged, 1: flagged, 2: not judged. Whatever goes wrong is 2, and never 0.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
)

// Guard is the child; it answers one call after the other.
type Guard struct {
	input  io.WriteCloser
	output *bufio.Reader
	number int
}

// Verdict holds some of the fields of a verdict; a pointer tells "missing" from "false".
type Verdict struct {
	Severity string   `json:"severity"`
	Flagged  *bool    `json:"flagged"`
	Names    []string `json:"categories"`
}

func start(model string) (*Guard, error) {
	child := exec.Command("edgeguard", "stdio", "--model", model, "--parent", strconv.Itoa(os.Getpid()))
	child.Stderr = os.Stderr // its log; it holds no text that is judged
	input, err := child.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	guard := &Guard{input: input, output: bufio.NewReader(output)}
	var about struct{ Protocol int }
	if err := guard.call("initialize", map[string]any{"protocol": 1}, &about); err != nil {
		return nil, err
	}
	if about.Protocol != 1 {
		return nil, fmt.Errorf("edgeguard speaks protocol %d, not 1", about.Protocol)
	}
	return guard, nil
}

func (g *Guard) check(text string) (*Verdict, error) {
	var verdict Verdict
	if err := g.call("check", map[string]any{"text": text, "timeout": 60}, &verdict); err != nil {
		return nil, err
	}
	if verdict.Severity == "" || verdict.Flagged == nil {
		return nil, errors.New("edgeguard's answer is no verdict")
	}
	return &verdict, nil
}

func (g *Guard) call(method string, params any, result any) error {
	g.number++
	request := map[string]any{"jsonrpc": "2.0", "id": g.number, "method": method, "params": params}
	if err := json.NewEncoder(g.input).Encode(request); err != nil {
		return err
	}
	for {
		line, err := g.output.ReadBytes('\n') // a line cut by the child's end is an error
		if err != nil {
			return fmt.Errorf("edgeguard has ended: %w", err)
		}
		var message struct {
			ID     any
			Method string
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(line, &message); err != nil {
			return fmt.Errorf("edgeguard's line is not JSON: %w", err)
		}
		if message.Method != "" {
			continue // a notification: the progress of the load
		}
		if message.Error != nil {
			return errors.New(message.Error.Message)
		}
		if message.ID != float64(g.number) || message.Result == nil {
			return errors.New("edgeguard answered something else")
		}
		return json.Unmarshal(message.Result, result)
	}
}

func main() {
	guard, err := start("nano")
	if err == nil {
		var verdict *Verdict
		if verdict, err = guard.check(os.Args[len(os.Args)-1]); err == nil {
			guard.input.Close() // the child ends with its input
			fmt.Println(verdict.Severity, *verdict.Flagged, verdict.Names)
			if *verdict.Flagged {
				os.Exit(1)
			}
			return
		}
	}
	fmt.Fprintln(os.Stderr, "not judged:", err)
	os.Exit(2)
}
