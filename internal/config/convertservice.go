package config

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// service makes the key and the section of one service, or reports why not.
func (c *conversion) service(l v1Listener, h v1Handler) []*yaml.Node {
	connector, ok := c.connector(l, h)
	listen, listenOK := c.listenOn(l)
	if !ok || !listenOK || h.Name == "" {
		return nil
	}
	section := mapping(text("connector"), text(connector), text("listenOn"), text(listen))
	if at, ok := l.node.get("address"); ok {
		section.Content[3].LineComment = at.value.comment.line
	}
	if credentials := c.credentials(h); len(credentials) > 0 {
		section.Content = append(section.Content, text("credentials"), mapping(credentials...))
	}
	section.Content = append(section.Content, c.match(l, h)...)
	key := text(c.unique(h))
	key.HeadComment = head(l.node, h.node)
	return []*yaml.Node{key, section}
}

// connector is the listener's protocol, and for http the handler's type.
func (c *conversion) connector(l v1Listener, h v1Handler) (string, bool) {
	switch {
	case l.Protocol == "http" && h.Type != "":
		return strings.TrimPrefix(h.Type, "http/"), true
	case l.Protocol == "http":
		c.errorf(h.node.pos, "handler %s of an http listener needs a type: %s", quote(h.Name), strings.Join(httpConnectors(), ", "))
		return "", false
	case l.Protocol == "":
		c.errorf(l.node.pos, "listener %s needs a protocol, for instance pg", quote(l.Name))
		return "", false
	}
	return l.Protocol, true
}

func (c *conversion) listenOn(l v1Listener) (string, bool) {
	listen := "tcp://" + l.Address
	switch {
	case l.Address == "" && l.Socket == "":
		c.errorf(l.node.pos, "listener %s needs an address or a socket", quote(l.Name))
		return "", false
	case l.Address != "" && l.Socket != "":
		c.errorf(l.node.pos, "listener %s has an address and a socket; keep one", quote(l.Name))
		return "", false
	case l.Address == "":
		listen = "unix://" + l.Socket
	}
	if _, err := ParseListen(listen); err != nil {
		c.errorf(l.node.pos, "listener %s: %s %v", quote(l.Name), quote(listen), err)
		return "", false
	}
	return listen, true
}

// credentials keeps literals as scalars. The old broker let the last of two
// equal names win, and so does this.
func (c *conversion) credentials(h v1Handler) []*yaml.Node {
	var out []*yaml.Node
	at := map[string]int{}
	for i, cred := range h.Credentials {
		value := text(cred.ID)
		if cred.Provider != FromLiteral {
			value = mapping(text("from"), text(cred.Provider), text("get"), text(cred.ID))
		}
		if list, ok := h.node.get("credentials"); ok && i < len(list.value.items) {
			id, _ := list.value.items[i].get("id")
			if id.value != nil {
				value.LineComment = id.value.comment.line
			}
		}
		if old, ok := at[cred.Name]; ok {
			c.warnf(h.node.pos, "credential %s of handler %s is here twice; the last one is kept", quote(cred.Name), quote(h.Name))
			out[old] = value
			continue
		}
		at[cred.Name] = len(out) + 1
		out = append(out, text(cred.Name), value)
	}
	return out
}

// match becomes authenticateURLsMatching; only HTTP looked at it.
func (c *conversion) match(l v1Listener, h v1Handler) []*yaml.Node {
	given, _ := h.node.get("match")
	if l.Protocol != "http" {
		if len(h.Match) > 0 {
			c.warnf(given.pos, "match of handler %s is left out: only http handlers used it", quote(h.Name))
		}
		return nil
	}
	if len(h.Match) == 0 {
		c.warnf(h.node.pos, "handler %s matches no URL; add authenticateURLsMatching to service %s", quote(h.Name), quote(h.Name))
		return nil
	}
	patterns := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, m := range h.Match {
		patterns.Content = append(patterns.Content, text(m))
	}
	return []*yaml.Node{text("config"), mapping(text("authenticateURLsMatching"), patterns)}
}
