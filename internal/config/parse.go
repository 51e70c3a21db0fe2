package config

import (
	"context"
	"net/netip"
	"reflect"
)

// Options are what Parse and Load ask about the world outside the file.
type Options struct {
	// SharesListener says whether services of a connector may share an
	// address; nil means none may.
	SharesListener func(connector string) bool
	// AdminSocket is the path of the admin socket where the file says nothing
	// about it; empty for none.
	AdminSocket string
	// Resolve looks up a host name of listenOn; nil means the system's
	// resolver. All names of a file have five seconds together.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// LocalAddrs are the addresses of this machine; nil means to ask the
	// system.
	LocalAddrs func() ([]netip.Addr, error)
}

// Parse reads a configuration, a file of its own or the custom resource of
// Kubernetes that has one for its spec; name is how errors call it. The error is
// Errors: every mistake of the file, in file order, none of them showing a
// literal credential. Which connectors, providers and credentials exist is
// not its business. Where the file could be understood so far, a File comes
// with the error, so that the caller can look for mistakes of its own kind;
// it must not be run.
func Parse(name string, data []byte, opts Options) (*File, error) {
	r := &report{file: name}
	root := r.read(data)
	if root == nil {
		return nil, r.errors.Err()
	}
	if root.kind != mapNode {
		r.errorf(root.pos, `a configuration is a map with version and services, not %s`, root.describe())
		return nil, r.errors.Err()
	}
	start, resource := Pos{1, 1}, isResource(root)
	if resource {
		if root = r.resourceSpec(root); root == nil {
			return nil, r.errors.Err()
		}
		start = root.pos
	}
	if isV1(root) {
		r.errorf(root.pos, "format v1 (listeners and handlers) is no longer read; rewrite the file with: secretless convert %s", name)
		return nil, r.errors.Err()
	}
	var spec fileSpec
	d := &decoder{report: r}
	top := *root
	top.pos = start
	d.structure(&top, reflect.ValueOf(&spec).Elem(), "the file")
	f := r.build(root, spec)
	f.Resource = resource
	f.Admin.complete(opts)
	r.addresses(f, opts)
	f.Warnings = r.warnings.sorted()
	return f, r.errors.Err()
}

// isV1 recognises the old format by its sections; one that says version 2 is
// taken at its word.
func isV1(root *node) bool {
	version, ok := root.get("version")
	if ok && !version.value.isNull() {
		v := version.value.value
		return v == "1" || v == "v1"
	}
	return (root.has("listeners") || root.has("handlers")) && !root.has("services")
}
