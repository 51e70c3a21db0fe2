package summon

import "go.yaml.in/yaml/v3"

// member is a key of a map.
type member struct {
	key   *yaml.Node
	at    *yaml.Node // the value as it is written
	value *yaml.Node // what it stands for
}

// mapping lists the members of a map and of those that are merged into it, and
// reports keys that stand there twice.
func (p *parser) mapping(n *yaml.Node) []member {
	taken := map[string]bool{}
	return p.merged(nil, n, taken, 0)
}

func (p *parser) merged(out []member, n *yaml.Node, taken map[string]bool, depth int) []member {
	own := map[string]*yaml.Node{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, at := n.Content[i], n.Content[i+1]
		if p.visited++; p.visited > maxEntries {
			p.tooMany(key)
			return out
		}
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			merges = append(merges, at)
			continue
		case key.Kind != yaml.ScalarNode:
			p.errorf(key, "a key must be a name")
			continue
		case own[key.Value] != nil:
			p.errorf(key, "%q stands here twice; the first is in line %d", key.Value, own[key.Value].Line)
			continue
		}
		own[key.Value] = key
		if !taken[key.Value] {
			out = append(out, member{key, at, follow(at)})
		}
	}
	for name := range own {
		taken[name] = true
	}
	for _, at := range merges {
		out = p.merge(out, at, taken, depth+1)
	}
	return out
}

// merge adds a map, or each of a list of maps; what is there already stays.
func (p *parser) merge(out []member, at *yaml.Node, taken map[string]bool, depth int) []member {
	if p.visited++; p.visited > maxEntries || depth > maxMerges {
		p.tooMany(at)
		return out
	}
	switch n := follow(at); n.Kind {
	case yaml.MappingNode:
		return p.merged(out, n, taken, depth)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if len(p.errs) > 0 {
				break
			}
			out = p.merge(out, item, taken, depth+1)
		}
		return out
	}
	p.errorf(at, "<< needs a map, or a list of them")
	return out
}

func (p *parser) tooMany(at *yaml.Node) {
	p.errorf(at, "file has more than %d entries, or merge keys that lead to each other", maxEntries)
}
