package summon

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"secretless/internal/config"
)

const defaultTag = "default='"

// tags reads a YAML tag: var, file, str and default='…', separated by colons.
func (e *Entry) tags(tag string) error {
	if rest, core := strings.CutPrefix(tag, "!!"); core {
		// Plain values, whose text counts as it is written.
		if slices.Contains([]string{"str", "int", "float", "bool", "null", "timestamp", "merge"}, rest) {
			return nil
		}
		return fmt.Errorf("unknown tag !!%s; a value without a tag is taken as it is", rest)
	}
	text, err := e.defaultOf(strings.TrimPrefix(tag, "!"))
	if err != nil {
		return err
	}
	for part := range strings.SplitSeq(text, ":") {
		switch part {
		case "", "str", "int", "bool", "float":
		case "var":
			e.Var = true
		case "file":
			e.File = true
		default:
			known := []string{"var", "file", "str", "default='…'"}
			return fmt.Errorf("unknown tag !%s%s; known are %s", part, config.DidYouMean(part, known[:3]), strings.Join(known, ", "))
		}
	}
	return nil
}

// defaultOf cuts default='…' out of a tag. What is in it may contain anything
// that a tag may, colons and quotes too: it ends with the last quote.
func (e *Entry) defaultOf(tag string) (rest string, err error) {
	before, after, ok := strings.Cut(tag, defaultTag)
	if !ok {
		return tag, nil
	}
	end := strings.LastIndexByte(after, '\'')
	if end < 0 {
		return "", errors.New("default='…' has no closing quote (a tag ends at the first space; write %20 for one)")
	}
	e.Default = after[:end]
	return before + after[end+1:], nil
}
