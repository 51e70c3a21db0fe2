package generic

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	texttemplate "text/template"
	"text/template/parse"

	"secretless/internal/secret"
)

// maxRendered bounds a value: servers take no longer headers either.
const maxRendered = 16 << 10

var (
	errTooLong = fmt.Errorf("the value is longer than %d bytes", maxRendered)
	errControl = errors.New("the value has a line break or another control character; look at the end of the credential")
)

// template is a Go template over the credentials. The zero template is empty.
type template struct {
	compiled *texttemplate.Template
	// uses are the credentials that it names.
	uses []string
}

// functions are those that templates may call. What else text/template brings
// is refused: it has no use here, and some of it has no bound.
var functions = []string{"base64", "printf"}

// parseTemplate refuses what names another credential than those given.
func parseTemplate(text string, credentials []string) (template, error) {
	if text == "" {
		return template{}, nil
	}
	compiled, err := texttemplate.New("value").Option("missingkey=error").
		Funcs(texttemplate.FuncMap{"base64": encodeBase64}).Parse(text)
	if err != nil {
		return template{}, errors.New(strings.TrimPrefix(err.Error(), "template: value:1: "))
	}
	t := template{compiled: compiled}
	if compiled.Tree == nil {
		return template{}, nil
	}
	if err := t.inspect(compiled.Root); err != nil {
		return template{}, err
	}
	if len(compiled.Templates()) > 1 {
		return template{}, errors.New("define and block have no use here")
	}
	for _, name := range t.uses {
		if !slices.Contains(credentials, name) {
			return template{}, fmt.Errorf("the service has no credential %q", name)
		}
	}
	return t, nil
}

func encodeBase64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// inspect notes the credentials and refuses what is not text, a credential, a
// function of ours or a condition.
func (t *template) inspect(n parse.Node) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return inspectAll(t, n.Nodes)
	case *parse.ActionNode:
		return t.inspect(n.Pipe)
	case *parse.IfNode:
		return errors.Join(t.inspect(n.Pipe), t.inspect(n.List), t.inspect(n.ElseList))
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return errors.New("variables have no use here")
		}
		return inspectAll(t, n.Cmds)
	case *parse.CommandNode:
		return inspectAll(t, n.Args)
	case *parse.FieldNode:
		if len(n.Ident) != 1 {
			return fmt.Errorf("%s: a credential has one name, as in {{ .%s }}", n, n.Ident[0])
		}
		if !slices.Contains(t.uses, n.Ident[0]) {
			t.uses = append(t.uses, n.Ident[0])
		}
		return nil
	case *parse.IdentifierNode:
		if !slices.Contains(functions, n.Ident) {
			return fmt.Errorf("function %s cannot be used; there are %s", n.Ident, strings.Join(functions, " and "))
		}
		return nil
	case *parse.TextNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.CommentNode:
		return nil
	}
	return fmt.Errorf("%s cannot be used; write credentials as in {{ .token }}, with %s", n, strings.Join(functions, " and "))
}

func inspectAll[N parse.Node](t *template, nodes []N) error {
	for _, n := range nodes {
		if err := t.inspect(n); err != nil {
			return err
		}
	}
	return nil
}

// render fills in the credentials and refuses what could break out of a
// header. Errors repeat no credential.
func (t template) render(set *secret.Set) (string, error) {
	text, err := t.text(set)
	if err == nil && strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", errControl
	}
	return text, err
}

// text is render for what may have line breaks.
func (t template) text(set *secret.Set) (string, error) {
	if t.compiled == nil {
		return "", nil
	}
	values := make(map[string]string, len(t.uses))
	for _, name := range t.uses {
		v, ok := set.Get(name)
		if !ok {
			return "", fmt.Errorf("there is no credential %q", name)
		}
		values[name] = v.Borrow()
	}
	var out bounded
	if err := t.compiled.Execute(&out, values); err != nil {
		// Of text/template's own errors some quote what they worked on.
		if errors.Is(err, errTooLong) {
			return "", errTooLong
		}
		return "", errors.New("the template cannot be evaluated")
	}
	return out.String(), nil
}

// bounded is a buffer that refuses to grow too far.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxRendered {
		return 0, errTooLong
	}
	return b.Builder.Write(p)
}
