package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

var errRedirect = errors.New("the server answers with a redirect to a place that is not the cluster's leader, and the token is not sent there; " +
	"correct address, or what stands in front of the server")

// leader says where a standby server sends the request of r. A redirect is
// followed once, and only if it is one that a standby makes (the same request
// to another server), if it keeps the scheme, and if the configured server
// itself names that other one as the leader when it is asked without a token.
// A portal or proxy that redirects to somewhere else gets nothing.
func (t *transport) leader(r *http.Request, resp *http.Response) (*url.URL, error) {
	to, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusTemporaryRedirect ||
		to.Scheme != t.origin.Scheme || to.User != nil || to.Path != r.URL.Path {
		return nil, errRedirect
	}
	leader, err := t.askLeader(r.Context())
	if err != nil {
		return nil, err
	}
	if leader.Scheme != to.Scheme || leader.Host != to.Host || leader.User != nil {
		return nil, errRedirect
	}
	return &url.URL{Scheme: to.Scheme, Host: to.Host}, nil
}

func (t *transport) askLeader(ctx context.Context) (*url.URL, error) {
	ask, err := http.NewRequestWithContext(withoutToken(ctx), http.MethodGet, t.origin.String()+"/v1/sys/leader", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := t.send(ask, t.origin, nil)
	if err != nil {
		return nil, fmt.Errorf("ask who leads the cluster: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	var answer struct {
		Address string `json:"leader_address"`
	}
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &answer) != nil {
		return nil, errRedirect
	}
	leader, err := url.Parse(answer.Address)
	if err != nil {
		return nil, errRedirect
	}
	return leader, nil
}

func withoutToken(ctx context.Context) context.Context {
	return context.WithValue(ctx, tokenKey{}, nil)
}
