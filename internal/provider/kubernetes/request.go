package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"secretless/internal/kubeapi"
)

// maxAnswer bounds what is read of an answer. A secret has at most 1 MiB of
// data, which base64 makes a third larger, and metadata around it.
const maxAnswer = 4 << 20

// maxNames bounds how many fields an error lists.
const maxNames = 20

// fields are what a secret holds, by name.
type fields map[string][]byte

func (f fields) wipe() {
	for _, value := range f {
		clear(value)
	}
}

// names lists the fields, for errors: their names are not secret.
func (f fields) names() string {
	if len(f) == 0 {
		return "it has none"
	}
	var all []string
	for name := range f {
		if isKey(name) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	if len(all) > maxNames {
		all = append(all[:maxNames], fmt.Sprintf("and %d more", len(all)-maxNames))
	}
	return "it has " + strings.Join(all, ", ")
}

// get reads one secret. Both names were checked: they are part of the path.
func get(ctx context.Context, client *kubeapi.Client, namespace, name string) (fields, error) {
	resp, err := client.Do(ctx, kubeapi.Request{Path: []string{"api", "v1", "namespaces", namespace, "secrets", name}})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode, namespace, name)
	}
	body, err := kubeapi.ReadBody(resp.Body, maxAnswer)
	defer clear(body)
	if err != nil {
		return nil, kubeapi.ConnectError(ctx, err)
	}
	return parseSecret(body)
}

// parseSecret reads the server's answer. The JSON library's errors are dropped:
// they may quote it.
func parseSecret(body []byte) (fields, error) {
	var answer struct {
		Kind string `json:"kind"`
		Data fields `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Kind != "Secret" {
		answer.Data.wipe()
		return nil, errors.New("the answer is no Secret: is server the address of a Kubernetes API server?")
	}
	return answer.Data, nil
}

func statusError(status int, namespace, name string) error {
	switch status {
	case http.StatusForbidden:
		return fmt.Errorf("the account may not read secret %s in namespace %s: give it a Role there with the verb get on this secret", name, namespace)
	case http.StatusNotFound:
		return fmt.Errorf("there is no secret %s in namespace %s", name, namespace)
	}
	return kubeapi.StatusError(status)
}
