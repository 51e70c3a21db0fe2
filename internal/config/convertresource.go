package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// resource is a custom resource of the old broker as one of today's: what the
// cluster keeps about it (its uid, its status, who has written what) is left
// behind, so that it can be applied again.
func (c *conversion) resource(root *node) *yaml.Node {
	api, _ := root.get("apiVersion")
	group, version, _ := strings.Cut(api.value.value, "/")
	spec, ok := root.get("spec")
	kind, _ := root.get("kind")
	switch {
	case kind.value.value != ResourceKind || !resourceAPI.MatchString(api.value.value) || !ok || spec.value.kind != mapNode:
		c.resourceSpec(root) // says what is wrong
		return nil
	case !isV1(spec.value) && version == ResourceVersion:
		c.errorf(api.value.pos, "this is a resource of %s/%s with the format of today; there is nothing to convert", group, ResourceVersion)
		return nil
	}
	body := versioned(spec).yaml()
	if isV1(spec.value) {
		body = c.rewritten(spec.value)
	}
	doc := mapping(text("apiVersion"), text(group+"/"+ResourceVersion), text("kind"), text(ResourceKind))
	if m, ok := root.get("metadata"); ok && m.value.kind == mapNode {
		doc.Content = append(doc.Content, text("metadata"), metadata(m.value).yaml())
	}
	doc.Content = append(doc.Content, text("spec"), body)
	doc.Content[0].HeadComment = head(root)
	return doc
}

// lastApplied is where kubectl apply keeps the resource as it was.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// metadata keeps what people write there.
func metadata(n *node) *node {
	kept := *n
	kept.entries = nil
	for _, e := range n.entries {
		if !slices.Contains([]string{"name", "namespace", "labels", "annotations"}, e.key) {
			continue
		}
		if e.key == "annotations" {
			e.value = e.value.without(lastApplied)
			if len(e.value.entries) == 0 {
				continue
			}
		}
		kept.entries = append(kept.entries, e)
	}
	return &kept
}

// yaml is n as it would be written.
func (n *node) yaml() *yaml.Node {
	switch n.kind {
	case mapNode:
		m := mapping()
		for _, e := range n.entries {
			key := text(e.key)
			key.HeadComment, key.LineComment = e.comment.head, e.comment.line
			m.Content = append(m.Content, key, e.value.yaml())
		}
		return m
	case listNode:
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range n.items {
			list.Content = append(list.Content, item.yaml())
		}
		return list
	}
	if n.tag == "!!str" {
		scalar := text(n.value)
		scalar.LineComment = n.comment.line
		return scalar
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: n.tag, Value: n.value, LineComment: n.comment.line}
}
