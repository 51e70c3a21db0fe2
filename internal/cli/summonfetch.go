package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"secretless/internal/config"
	"secretless/internal/provider"
	"secretless/internal/secret"
	"secretless/internal/summon"
)

// variable is an entry with its value, which its holder wipes.
type variable struct {
	summon.Entry
	value secret.Value
}

// nothing is the source of a list that needs none.
func nothing() *summonSource {
	return &summonSource{Instance: provider.NewInstance(provider.InstanceOptions{Name: "none"})}
}

// fetchSummon gets every value. The source stays open for the caller to close:
// what it has handed out may need care for as long as it is used.
func fetchSummon(ctx context.Context, env Env, o summonOptions, name string, entries []summon.Entry, log *slog.Logger) ([]variable, *summonSource, error) {
	wanted := slices.DeleteFunc(slices.Clone(entries), func(e summon.Entry) bool { return !e.Var })
	if len(wanted) == 0 {
		return complete(entries, nil), nothing(), nil
	}
	source, err := openSummonSource(env, o, log)
	if err != nil {
		return nil, nil, err
	}
	set, err := o.lookup(ctx, source, name, wanted, log)
	if err != nil {
		source.Close()
		return nil, nil, err
	}
	defer set.Wipe()
	return complete(entries, set), source, nil
}

// lookup asks for everything at once. Where that fails, and something may be
// left out, the rest is asked for at once and each of those alone.
func (o summonOptions) lookup(ctx context.Context, source *summonSource, name string, wanted []summon.Entry, log *slog.Logger) (*secret.Set, error) {
	var errs config.Errors
	for _, e := range wanted {
		if source.checkRef == nil {
			break
		}
		if err := source.checkRef(e.Value); err != nil {
			errs = append(errs, config.Diagnostic{File: name, Pos: e.Pos, Text: fmt.Sprintf("%s: %v", e.Name, err)})
		}
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	set, err := source.get(ctx, wanted)
	if err == nil || !slices.ContainsFunc(wanted, o.ignorable) {
		return set, err
	}
	all := map[string]secret.Value{}
	needed := slices.DeleteFunc(slices.Clone(wanted), o.ignorable)
	if set, err = source.get(ctx, needed); err != nil {
		return nil, err
	}
	merge(all, set)
	for _, e := range wanted {
		if !o.ignorable(e) {
			continue
		}
		set, err := source.get(ctx, []summon.Entry{e})
		if err != nil {
			log.Warn("variable left out", "name", e.Name, "error", err)
			continue
		}
		merge(all, set)
	}
	return secret.NewSet(all), nil
}

func (o summonOptions) ignorable(e summon.Entry) bool {
	return o.ignoreAll || slices.Contains(o.ignore, e.Name) || slices.Contains(o.ignore, e.Value)
}

func merge(into map[string]secret.Value, set *secret.Set) {
	for _, name := range set.Names() {
		into[name], _ = set.Get(name)
	}
}

// get is one lookup, by the names of the variables.
func (s *summonSource) get(ctx context.Context, entries []summon.Entry) (*secret.Set, error) {
	refs := make([]provider.Ref, len(entries))
	for i, e := range entries {
		refs[i] = provider.Ref{Name: e.Name, Instance: s.Instance, Get: e.Value}
	}
	c := provider.NewCredentials("summon", refs, nil)
	defer c.Close()
	return c.Get(ctx)
}

// complete adds the values that need no lookup, and defaults.
func complete(entries []summon.Entry, set *secret.Set) []variable {
	var out []variable
	for _, e := range entries {
		value := secret.Copy(e.Value)
		if e.Var {
			found, ok := set.Get(e.Name)
			if !ok {
				continue // may be left out
			}
			value = found.Clone()
		}
		if value.Len() == 0 {
			value = secret.Copy(e.Default)
		}
		out = append(out, variable{e, value})
	}
	return out
}
