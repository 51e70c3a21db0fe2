// conjurclient asks Conjur with CyberArk's own client, as it is configured by
// its own variables, so that a double and a client of ours can be held against
// it. It reads {"one": [ids], "batch": [ids]} from standard input and prints
// what it gets, values in base64.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/cyberark/conjur-api-go/conjurapi"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var ask struct{ One, Batch []string }
	if err := json.NewDecoder(os.Stdin).Decode(&ask); err != nil {
		return err
	}
	config, err := conjurapi.LoadConfig()
	if err != nil {
		return err
	}
	client, err := conjurapi.NewClientFromEnvironment(config)
	if err != nil {
		return err
	}
	out := map[string][]byte{}
	for _, id := range ask.One {
		if out["one "+id], err = client.RetrieveSecret(id); err != nil {
			return err
		}
	}
	if len(ask.Batch) > 0 {
		values, err := client.RetrieveBatchSecretsSafe(ask.Batch)
		if err != nil {
			return err
		}
		for id, value := range values {
			out["batch "+id] = value
		}
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}
