package config

import (
	"regexp"
	"slices"
	"strings"
)

// The custom resource that a configuration can be, in Kubernetes.
const (
	ResourceKind   = "Configuration"
	ResourcePlural = "configurations"
	// ResourceVersion is the version of the API whose spec is this format; the
	// old broker's was v1.
	ResourceVersion = "v2"
)

// ResourceGroup is the API group of configurations. The suffix, of
// SECRETLESS_CRD_SUFFIX, keeps those of several installations apart.
func ResourceGroup(suffix string) string { return "secretless" + suffix + ".io" }

var resourceAPI = regexp.MustCompile(`^secretless[a-z0-9.-]*\.io/(v[0-9]+)$`)

// isResource recognises a manifest of Kubernetes by the two keys that each of
// them has.
func isResource(root *node) bool { return root.has("apiVersion") && root.has("kind") }

// resourceSpec is the part of a custom resource that is a configuration, or nil
// where that was reported.
func (r *report) resourceSpec(root *node) *node {
	api, _ := root.get("apiVersion")
	kind, _ := root.get("kind")
	if kind.value.value == "List" || kind.value.value == ResourceKind+"List" {
		r.errorf(kind.value.pos, "this is a list; a configuration is one resource, as kubectl get %s NAME -o yaml prints it", strings.ToLower(ResourceKind))
		return nil
	}
	if kind.value.value != ResourceKind {
		r.errorf(kind.value.pos, "kind must be %s, not %s: of Kubernetes' resources only that is a configuration", ResourceKind, quote(kind.value.value))
		return nil
	}
	version := resourceAPI.FindStringSubmatch(api.value.value)
	if version == nil {
		r.errorf(api.value.pos, "apiVersion must be %s/%s, not %s", ResourceGroup(""), ResourceVersion, quote(api.value.value))
		return nil
	}
	known := []string{"apiVersion", "kind", "metadata", "spec", "status"}
	for _, e := range root.entries {
		if !contains(known, e.key) {
			r.errorf(e.pos, "unknown key %s%s", quote(e.key), didYouMeanKey(e.key, known))
		}
	}
	spec, ok := root.get("spec")
	if !ok || spec.value.kind != mapNode {
		r.errorf(kind.pos, "the resource has no spec; that is where version, services and the rest belong")
		return nil
	}
	if isV1(spec.value) {
		r.errorf(spec.pos, "format v1 (listeners and handlers) is no longer read; rewrite the resource with: kubectl get %s NAME -o yaml | secretless convert - | kubectl replace -f -", strings.ToLower(ResourceKind))
		return nil
	}
	if version[1] != ResourceVersion {
		r.warnf(api.value.pos, "apiVersion %s was the old broker's; write %s", api.value.value, ResourceGroup("")+"/"+ResourceVersion)
	}
	return versioned(spec)
}

// versioned adds the format's version where the resource leaves it to its
// apiVersion.
func versioned(spec entry) *node {
	n := *spec.value
	n.pos = spec.pos
	if e, ok := n.get("version"); !ok || e.value.isNull() {
		version := entry{key: "version", pos: spec.pos, value: &node{kind: scalarNode, tag: "!!str", value: "2", pos: spec.pos}}
		n.entries = append(slices.Clone(n.without("version").entries), version)
	}
	return &n
}
