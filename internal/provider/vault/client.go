package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/vault/api"

	"secretless/internal/secret"
)

// client makes requests, each with its own token, and says what the answers
// mean. Safe for concurrent use.
type client struct {
	api       *api.Client
	transport *transport
}

func newClient(c connection) (*client, error) {
	t, err := newTransport(c)
	if err != nil {
		return nil, err
	}
	// Retries are the Resolver's, deadlines the contexts', redirects and the
	// token the transport's.
	a, err := api.NewClient(&api.Config{
		Address:          t.origin.String(),
		HttpClient:       &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		MaxRetries:       0,
		CheckRetry:       func(context.Context, *http.Response, error) (bool, error) { return false, nil },
		DisableRedirects: true,
	})
	if err != nil {
		// The client insists on reading the process's variables. The text of
		// its error may quote them.
		return nil, errors.New("the VAULT_* variables of the environment are not what HashiCorp's client takes; " +
			"`vault status` in the same environment says which is wrong")
	}
	// What it took from there belongs to the built-in provider alone, which
	// has read it itself.
	a.ClearToken()
	a.ClearNamespace()
	a.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	return &client{a, t}, nil
}

func (c *client) close() { c.transport.reconnect() }

// envelope is what every answer has around its data. Its bytes are wiped by
// whoever got it.
type envelope struct {
	LeaseID  string          `json:"lease_id"`
	Duration int64           `json:"lease_duration"` // seconds
	Renew    bool            `json:"renewable"`
	Data     json.RawMessage `json:"data"`
	Auth     *grant          `json:"auth"`
	Wrap     json.RawMessage `json:"wrap_info"`
}

// grant is the answer to a login or a renewal.
type grant struct {
	Token    json.RawMessage `json:"client_token"`
	Duration int64           `json:"lease_duration"`
	Renew    bool            `json:"renewable"`
	MFA      json.RawMessage `json:"mfa_requirement"`
}

func (e *envelope) wipe() {
	if e == nil {
		return
	}
	clear(e.Data)
	if e.Auth != nil {
		clear(e.Auth.Token)
	}
}

func (c *client) read(ctx context.Context, token secret.Value, path string, params url.Values) (*envelope, error) {
	resp, err := c.api.Logical().ReadRawWithDataWithContext(withToken(ctx, token), path, params)
	return understand(resp, err)
}

// write sends fields, which it does not keep. Their JSON is wiped.
func (c *client) write(ctx context.Context, token secret.Value, path string, fields map[string]any) (*envelope, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	defer clear(body) // the transport has a copy of its own
	resp, err := c.api.Logical().WriteRawWithContext(withToken(ctx, token), path, body)
	return understand(resp, err)
}

// understand reads an answer to its end.
func understand(resp *api.Response, err error) (*envelope, error) {
	if resp == nil || resp.Response == nil {
		return nil, unanswered(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, readErr := io.ReadAll(resp.Body)
	defer clear(body)
	if refusal := (*api.ResponseError)(nil); err != nil && !errors.As(err, &refusal) {
		return nil, unanswered(err) // the answer broke off
	}
	if resp.StatusCode >= 300 {
		return nil, answered(resp.StatusCode, hintsIn(body))
	}
	if readErr != nil {
		return nil, unanswered(readErr)
	}
	e := &envelope{}
	if len(body) == 0 && resp.StatusCode == http.StatusNoContent {
		return e, nil
	}
	if json.Unmarshal(body, e) != nil {
		e.wipe()
		return nil, &failure{status: resp.StatusCode, text: "the answer is not Vault's; is address that of a Vault server?"}
	}
	return e, nil
}

// hints are the few facts that a refusal's text is searched for.
type hints struct{ sealed, invalidToken, deleted, plainToTLS bool }

func hintsIn(body []byte) hints {
	var refusal struct {
		Errors []string `json:"errors"`
		Data   struct {
			Metadata struct {
				Deleted   string `json:"deletion_time"`
				Destroyed bool   `json:"destroyed"`
			} `json:"metadata"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &refusal) != nil {
		return hints{plainToTLS: bytes.Contains(body, []byte("HTTP request to an HTTPS server"))}
	}
	says := func(what string) bool {
		for _, e := range refusal.Errors {
			if strings.Contains(e, what) {
				return true
			}
		}
		return false
	}
	return hints{
		sealed:       says("sealed"),
		invalidToken: says("invalid token") || says("bad token"),
		deleted:      refusal.Data.Metadata.Deleted != "" || refusal.Data.Metadata.Destroyed,
	}
}
