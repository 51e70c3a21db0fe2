package assemble

import (
	"secretless/internal/config"
	"secretless/internal/provider"
)

// KnowsProvider tells whether name is a built-in provider or an entry of file.
func (a *Assembler) KnowsProvider(file *config.File, name string) bool {
	if _, ok := a.providers[name]; ok {
		return true
	}
	for _, p := range file.Providers {
		if p.Name == name {
			return true
		}
	}
	return false
}

// Provider makes the one instance that `from: name` means in file, for who
// needs secrets but no service. The caller closes it; the definition says how
// its ids are checked. Its error is a config.Errors.
func (a *Assembler) Provider(file *config.File, name string) (*provider.Instance, provider.Definition, error) {
	b := &build{Assembler: a, file: file, named: map[string]*named{}, instances: map[string]*provider.Instance{}}
	for i := range file.Providers {
		p := &file.Providers[i]
		b.named[p.Name] = &named{Provider: p}
	}
	if p := b.named[name]; p != nil {
		if _, ok := a.providers[p.Type]; !ok {
			b.errorf(p.TypePos, "%s", unknown("provider type", p.Type, names(a.providers)))
		}
	}
	instance, definition, _ := b.instanceFor(name, config.Pos{})
	for _, other := range b.instances { // those that its settings come from are held by it
		if other != instance {
			other.Close()
		}
	}
	if err := b.errs.Err(); err != nil {
		if instance != nil {
			instance.Close()
		}
		return nil, definition, err
	}
	return instance, definition, nil
}
