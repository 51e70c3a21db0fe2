package exec_test

import (
	"encoding/json"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// helperVar makes the test binary play a command: its first argument is a file
// of ids and values, as the command's answer has them.
const helperVar = "SECRETLESS_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(helperVar) != "" {
		os.Exit(answerFrom(os.Args[1]))
	}
	goleak.VerifyTestMain(m)
}

func answerFrom(file string) int {
	var values map[string]json.RawMessage
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &values)
	}
	var question struct {
		IDs []string `json:"ids"`
	}
	if err == nil {
		err = json.NewDecoder(os.Stdin).Decode(&question)
	}
	answer := map[string]json.RawMessage{}
	for _, id := range question.IDs {
		if v, ok := values[id]; ok {
			answer[id] = v
		}
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return 0
}
