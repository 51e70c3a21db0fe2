package assemble

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"secretless/internal/config"
	"secretless/internal/provider"
)

// providersSection checks every entry of `providers`, those that no service
// uses included.
func (b *build) providersSection() {
	for i := range b.file.Providers {
		p := &b.file.Providers[i]
		b.named[p.Name] = &named{Provider: p}
	}
	for i := range b.file.Providers {
		p := &b.file.Providers[i]
		definition, ok := b.providers[p.Type]
		if !ok {
			b.errorf(p.TypePos, "%s", unknown("provider type", p.Type, names(b.providers)))
			continue
		}
		if _, builtIn := b.providers[p.Name]; builtIn && p.Name != p.Type || p.Name == config.FromLiteral {
			b.errorf(p.Pos, "%q is a built-in provider, and an entry of that name replaces its settings: %s", p.Name, otherName(p))
		}
		b.namedInstance(b.named[p.Name], definition)
	}
}

func otherName(p *config.Provider) string {
	if p.Name == config.FromLiteral {
		return "it has none; choose another name"
	}
	return fmt.Sprintf("its type must be %s too, or its name another", p.Name)
}

// named is an entry of `providers` on its way to an instance.
type named struct {
	*config.Provider
	instance *provider.Instance // nil where it cannot be built
	digest   string
	begun    bool
	done     bool
}

// instanceFor finds the instance that `from: name` means, with its definition
// and digest; nil after reporting what is wrong.
func (b *build) instanceFor(name string, pos config.Pos) (*provider.Instance, provider.Definition, string) {
	if p := b.named[name]; p != nil {
		definition, ok := b.providers[p.Type]
		if !ok {
			return nil, provider.Definition{}, "" // reported with the entry itself
		}
		if p.begun && !p.done {
			b.errorf(pos, "providers need each other in a circle: %s", b.circle(name))
			return nil, definition, ""
		}
		b.namedInstance(p, definition)
		return p.instance, definition, p.digest
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
	return b.instance(digest, &config.Provider{Name: name, Pos: pos, Type: name}, definition, nil), definition, digest
}

// namedInstance makes p's instance, and before it those that its settings come
// from. The digest covers them, so that p is made anew when they are.
func (b *build) namedInstance(p *named, d provider.Definition) {
	if p.begun {
		return
	}
	p.begun = true
	b.making = append(b.making, p.Name)
	defer func() {
		p.done = true
		b.making = b.making[:len(b.making)-1]
	}()
	var refs []provider.Ref
	digests := []string{p.Digest()}
	complete := true
	for _, c := range p.Settings.Secrets(d.Config) {
		ref, digest, ok := b.ref(c)
		c.Literal.Wipe()
		if !ok {
			complete = false
			continue
		}
		refs = append(refs, ref)
		digests = append(digests, digest)
	}
	if !complete {
		wipeRefs(refs)
		return
	}
	p.digest = digests[0]
	if len(refs) > 0 {
		sum := sha256.Sum256([]byte(strings.Join(digests, "\n")))
		p.digest = hex.EncodeToString(sum[:])
	}
	p.instance = b.instance(p.digest, p.Provider, d, refs)
}

// circle spells the way from name back to itself.
func (b *build) circle(name string) string {
	from := len(b.making) - 1
	for b.making[from] != name {
		from--
	}
	return strings.Join(append(b.making[from:len(b.making):len(b.making)], name), " → ")
}

// instance returns the instance for a digest: one that runs already, one made
// for another service of this build, or a new one; nil after reporting why it
// could not be built. The settings, in the order of the section, belong to it.
func (b *build) instance(digest string, p *config.Provider, d provider.Definition, settings []provider.Ref) *provider.Instance {
	if i, ok := b.instances[digest]; ok {
		wipeRefs(settings)
		return i
	}
	if i, ok := b.running[digest]; ok {
		wipeRefs(settings)
		b.instances[digest] = i
		return i
	}
	held := bindSettings(p.Name, settings)
	made, err := d.Build(provider.Setup{
		Name:      p.Name,
		Decode:    func(into any) error { return held.decode(p.Settings, into) },
		LookupEnv: b.lookupEnv,
		Warn: func(text string, path ...string) {
			b.file.Warnf(p.Locate(path...), "provider %q: %s", p.Name, text)
		},
		Log: b.log.With("provider", p.Name),
	})
	if err != nil {
		held.close()
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
		Settings:     held,
		Log:          b.log,
	})
	b.instances[digest] = i
	return i
}

// boundSettings are an instance's secrets, in the order in which decoding its
// section comes to them.
type boundSettings []provider.SecretSetting

func bindSettings(instance string, refs []provider.Ref) boundSettings {
	held := make(boundSettings, len(refs))
	for i, ref := range refs {
		held[i] = provider.NewSetting(fmt.Sprintf("provider %s: %s", instance, ref.Name), ref)
	}
	return held
}

func (h boundSettings) decode(s config.Section, into any) error {
	next, stray := 0, error(nil)
	err := s.DecodeSecrets(into, func(setting config.CredentialSetting, c config.Credential) {
		c.Literal.Wipe() // the bound one has its own
		own, ok := setting.(*provider.SecretSetting)
		if !ok || next == len(h) {
			stray = fmt.Errorf("%s is no setting of the provider's definition", c.Name)
			return
		}
		*own = h[next]
		next++
	})
	if err == nil {
		err = stray
	}
	return err
}

func (h boundSettings) close() {
	for _, s := range h {
		s.Close()
	}
}

// ref checks one `{from, get}` or scalar and makes the Ref for it. ok is false
// after reporting a mistake.
func (b *build) ref(c config.Credential) (r provider.Ref, digest string, ok bool) {
	if c.From == config.FromLiteral {
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
