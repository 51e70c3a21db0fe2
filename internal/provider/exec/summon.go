package exec

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// errLooksLikeOption is an id that the command would take for something else.
var errLooksLikeOption = errors.New("id begins with a dash, and the command would take it for an option")

// summon is an instance that is asked as summon asks its providers: the id is
// the last argument, the output is the value, without the space around it.
type summon struct{ *commands }

// Fetch calls the command once for each ref, several at a time. The values are
// as consistent as the command's source is between two calls.
func (p summon) Fetch(ctx context.Context, refs []string) (map[string]provider.Lease, error) {
	out := make(map[string]provider.Lease, len(refs))
	if err := ctx.Err(); err != nil {
		return nil, p.fail(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var calls sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, ref := range refs {
		settle := func(value secret.Value, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				out[ref] = provider.Lease{Value: value}
			} else if failed == nil {
				failed = p.fail(err, ref)
				cancel()
			}
		}
		provider.Go(&calls, p.log.log, "ask the command", func() { settle(p.one(ctx, ref)) },
			func(err error) { settle(secret.Value{}, err) })
	}
	calls.Wait()
	if failed != nil {
		wipe(out)
		return nil, failed
	}
	return out, nil
}

func (p summon) one(ctx context.Context, ref string) (secret.Value, error) {
	if err := checkRef(ref); err != nil {
		return secret.Value{}, err
	}
	if strings.HasPrefix(ref, "-") {
		return secret.Value{}, errLooksLikeOption
	}
	out, err := p.run(ctx, p.command.with(ref), nil)
	defer out.wipe()
	value := secret.Copy(bytes.TrimSpace(out.stdout))
	p.logStderr(out, map[string]provider.Lease{ref: {Value: value}}, err)
	if err != nil {
		value.Wipe()
		return secret.Value{}, err
	}
	return value, nil
}
