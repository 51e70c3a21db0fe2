package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"secretless/internal/top"
)

// table prints rows in columns. Cells may hold text of others: it is escaped.
type table struct{ w *tabwriter.Writer }

func newTable(to io.Writer) table {
	return table{tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)}
}

func (t table) row(cells ...any) {
	texts := make([]string, len(cells))
	for n, c := range cells {
		if texts[n] = top.Escape(fmt.Sprint(c)); texts[n] == "" {
			texts[n] = "-"
		}
	}
	// A write error is kept by the writer below and comes with end.
	_, _ = fmt.Fprintln(t.w, strings.Join(texts, "\t"))
}

func (t table) end() error { return t.w.Flush() }
