package assemble

import (
	"fmt"
	"time"

	"secretless/internal/config"
	"secretless/internal/provider"
)

// providersSection checks every entry of `providers`, those that no service
// uses included.
func (b *build) providersSection() {
	for i := range b.file.Providers {
		p := &b.file.Providers[i]
		b.named[p.Name] = p
		definition, ok := b.providers[p.Type]
		if !ok {
			b.errorf(p.TypePos, "%s", unknown("provider type", p.Type, names(b.providers)))
			continue
		}
		b.instance(p.Digest(), p, definition)
	}
}

// instanceFor finds the instance that `from: name` means, with its definition
// and digest; nil after reporting what is wrong.
func (b *build) instanceFor(name string, pos config.Pos) (*provider.Instance, provider.Definition, string) {
	if p := b.named[name]; p != nil {
		definition, ok := b.providers[p.Type]
		if !ok {
			return nil, provider.Definition{}, "" // reported with the entry itself
		}
		digest := p.Digest()
		return b.instance(digest, p, definition), definition, digest
	}
	definition, ok := b.providers[name]
	switch {
	case !ok:
		known := append(names(b.providers), names(b.named)...)
		b.errorf(pos, "%s", unknown("provider", name, known))
		return nil, definition, ""
	case definition.NeedsInstance:
		b.errorf(pos, "provider %q needs settings: add an entry of this type under providers", name)
		return nil, definition, ""
	}
	digest := "built-in " + name
	return b.instance(digest, &config.Provider{Name: name, Type: name}, definition), definition, digest
}

// instance returns the instance for a digest: one that runs already, one made
// for another service of this build, or a new one; nil after reporting why it
// could not be built.
func (b *build) instance(digest string, p *config.Provider, d provider.Definition) *provider.Instance {
	if i, ok := b.instances[digest]; ok {
		return i
	}
	if i, ok := b.running[digest]; ok {
		b.instances[digest] = i
		return i
	}
	made, err := d.Build(provider.Setup{
		Name:      p.Name,
		Decode:    p.Settings.Decode,
		LookupEnv: b.lookupEnv,
		Log:       b.log.With("provider", p.Name),
	})
	if err != nil {
		b.report(err, p.Pos, nil)
		return nil
	}
	cache := d.Cache
	if p.Cache != nil {
		cache = *p.Cache
	}
	i := provider.NewInstance(provider.InstanceOptions{
		Name:         p.Name,
		Provider:     made,
		Cache:        max(cache, 0),
		Timeout:      p.Timeout,
		StaleIfError: max(p.StaleIfError, time.Duration(0)),
		Log:          b.log,
	})
	b.instances[digest] = i
	return i
}

// ref checks one `{from, get}` or scalar and makes the Ref for it. ok is false
// after reporting a mistake.
func (b *build) ref(c config.Credential) (r provider.Ref, digest string, ok bool) {
	if c.From == config.FromLiteral && b.named[c.From] == nil {
		return provider.Ref{Name: c.Name, Literal: c.Literal.Clone()}, "literal", true
	}
	instance, definition, digest := b.instanceFor(c.From, c.FromPos)
	if instance == nil {
		return r, "", false
	}
	if definition.CheckRef != nil {
		if err := definition.CheckRef(c.Get); err != nil {
			b.errorf(c.ValuePos, "%v", err)
			return r, "", false
		}
	}
	if c.Get == "" {
		b.errorf(c.ValuePos, "get is empty: write what provider %q looks up (%s)", c.From, definition.Ref)
		return r, "", false
	}
	return provider.Ref{Name: c.Name, Instance: instance, Get: c.Get}, fmt.Sprintf("%s=%s", c.From, digest), true
}
