package top

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"secretless/internal/admin"
)

// view is what is on the screen: the model and what the user has chosen.
type view struct {
	model   *model
	problem string // why there is no newer model
	by      order
	at      uint64 // ID of the chosen connection, zero for none
	first   int    // of the connections that are shown
	asking  *admin.Connection
	note    string // what became of the last request
}

// bound of a view that is printed: there is no screen to fit.
const (
	printedConnections = 50
	printedErrors      = 10
)

// render draws the view, width and height in cells; zero is without bound, for
// plain text.
func (v *view) render(width, height int) []line {
	if v.model == nil {
		text := "asking the broker …"
		if v.problem != "" {
			text = v.problem
		}
		return clip([]line{{Escape(text), alarm}, {}, v.footer()}, width, height)
	}
	body := v.head()
	if v.problem != "" {
		body = append(body, line{Escape(v.problem) + " (what follows is from " + v.model.now.status.Now.Local().Format(time.TimeOnly) + ")", alarm})
	}
	services, providers, errors := v.services(width), v.providers(width), v.errors()
	if height > 0 {
		// The connections have what the others leave, a third at least.
		rest := max(height-len(body)-3, 0)
		services = fit(services, max(rest/3, 3))
		providers = fit(providers, max(rest/6, 2))
		errors = fit(errors, max(rest/5, 2))
	}
	body = append(append(body, line{}), services...)
	if len(providers) > 0 {
		body = append(append(body, line{}), providers...)
	}
	tail := 0
	if height > 0 {
		tail = 1 // footer
		if len(errors) > 0 {
			tail += 1 + len(errors)
		}
	}
	body = append(append(body, line{}), v.connections(width, height, height-len(body)-1-tail)...)
	if len(errors) > 0 {
		body = append(append(body, line{}), errors...)
	}
	if height == 0 {
		return body
	}
	body = clip(body[:min(len(body), height-1)], width, 0)
	for len(body) < height-1 {
		body = append(body, line{})
	}
	return append(body, clip([]line{v.footer()}, width, 0)...)
}

func clip(lines []line, width, height int) []line {
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	for n := range lines {
		if width > 0 && len([]rune(lines[n].text)) > width {
			lines[n].text = pad(lines[n].text, width, false)
		}
	}
	return lines
}

func (v *view) head() []line {
	s, total := v.model.now.status, v.model.total
	state := "ready"
	if !s.Ready {
		state = "NOT READY"
	}
	var open, handshakes int64
	for _, service := range s.Services {
		open, handshakes = open+service.Active, handshakes+service.Handshakes
	}
	reloads := "1 reload"
	if n := s.Reloads.Succeeded + s.Reloads.Failed; n != 1 {
		reloads = fmt.Sprintf("%d reloads", n)
	}
	if s.Reloads.LastError != "" {
		reloads += ", THE LAST FAILED"
	}
	return []line{
		{Escape(fmt.Sprintf("%s  up %s  %s  %s  %s  log %s", s.Version, Age(s.Now.Sub(s.Started)), state, s.Config, reloads, s.LogLevel.Level)), plain},
		{fmt.Sprintf("%d open, %d in handshake  %s new/s  %s failed/s  %s B/s to targets  %s B/s to clients",
			open, handshakes, rate(total.accepted), rate(total.failed), Bytes(total.toTarget), Bytes(total.toClient)), plain},
	}
}

func (v *view) services(width int) []line {
	cols := []column{
		{"SERVICE", false, true, 8},
		{"CONNECTOR", false, true, 5},
		{"STATE", false, false, 0},
		{"OPEN", true, false, 0},
		{"HS", true, false, 0},
		{"NEW/S", true, false, 0},
		{"FAIL/S", true, false, 0},
		{"REFUSED", true, false, 0},
		{"FAILED", true, false, 0},
		{"TO TARGET/S", true, false, 0},
		{"TO CLIENT/S", true, false, 0},
	}
	var rows [][]string
	for _, s := range v.model.now.status.Services {
		f := v.model.services[s.Name]
		name, state := s.Name, "running"
		if len(s.Members) > 0 {
			name = strings.Join(s.Members, ",")
		}
		if s.Drained {
			state = "drained"
		} else if len(s.Addresses) == 0 {
			state = "ending"
		}
		rows = append(rows, []string{
			Escape(name), Escape(s.Connector), state, strconv.FormatInt(s.Active, 10), strconv.FormatInt(s.Handshakes, 10),
			rate(f.accepted), rate(f.failed), strconv.FormatUint(s.Refused, 10), strconv.FormatUint(s.Failed+s.RequestsFailed, 10),
			Bytes(f.toTarget), Bytes(f.toClient),
		})
	}
	return columns(cols, rows, width)
}

func (v *view) providers(width int) []line {
	s := v.model.now.status
	if len(s.Providers) == 0 {
		return nil
	}
	cols := []column{
		{"PROVIDER", false, true, 8},
		{"STATE", false, false, 0},
		{"LOOKUPS", true, false, 0},
		{"HITS", true, false, 0},
		{"FAILURES", true, false, 0},
		{"ANSWERED", true, false, 0},
		{"FAILED", true, false, 0},
		{"LAST ERROR", false, true, 10},
	}
	var rows [][]string
	for _, p := range s.Providers {
		state := "ok"
		if p.Down {
			state = "DOWN"
		}
		rows = append(rows, []string{
			Escape(p.Name), state, strconv.FormatUint(p.Lookups, 10), strconv.FormatUint(p.Hits, 10), strconv.FormatUint(p.Failures, 10),
			since(p.Answered, s.Now), since(p.Failed, s.Now), Escape(p.LastError),
		})
	}
	lines := columns(cols, rows, width)
	for n, p := range s.Providers {
		if p.Down {
			lines[n+1].style = alarm
		}
	}
	return lines
}

func (v *view) errors() []line {
	list := v.model.now.errors
	if len(list) == 0 {
		return nil
	}
	out := []line{{"LAST WARNINGS AND ERRORS", heading}}
	for n := len(list) - 1; n >= max(0, len(list)-printedErrors); n-- {
		e := list[n]
		out = append(out, line{Escape(strings.TrimSpace(e.Time.Local().Format(time.TimeOnly) + "  " + e.Service + "  " + e.Text)), plain})
	}
	return out
}

// connections shows room lines of the list, around the chosen one.
func (v *view) connections(width, height, room int) []line {
	list := v.model.sorted(v.by)
	total := v.model.now.connections.Total
	shown := room - 2 // title and heading
	if height == 0 {
		shown = printedConnections
	}
	shown = min(max(shown, 0), len(list))
	v.scroll(list, shown)
	title := fmt.Sprintf("CONNECTIONS by %s: %d", v.by, total)
	if shown < total {
		title = fmt.Sprintf("CONNECTIONS by %s: %d-%d of %d", v.by, min(v.first+1, total), v.first+shown, total)
		if len(list) < total {
			title += fmt.Sprintf(" (the oldest %d of them sorted)", len(list))
		}
	}
	cols := []column{
		{"ID", true, false, 0},
		{"SERVICE", false, true, 8},
		{"STATE", false, false, 0},
		{"CLIENT", false, true, 8},
		{"TARGET", false, true, 8},
		{"AGE", true, false, 0},
		{"IDLE", true, false, 0},
		{"TO TARGET", true, false, 0},
		{"TO CLIENT", true, false, 0},
		{"B/S", true, false, 0},
	}
	now := v.model.now.status.Now
	var rows [][]string
	for _, c := range list[v.first : v.first+shown] {
		idle := "-"
		if c.Idle != nil {
			idle = Age(time.Duration(*c.Idle * float64(time.Second)))
		}
		rows = append(rows, []string{
			strconv.FormatUint(c.ID, 10), Escape(c.Service), string(c.State), Escape(client(c)), Escape(c.Target),
			Age(now.Sub(c.Since)), idle, Bytes(float64(c.BytesToTarget)), Bytes(float64(c.BytesToClient)), Bytes(v.model.bytes[c.ID]),
		})
	}
	lines := columns(cols, rows, width)
	for n, c := range list[v.first : v.first+shown] {
		if c.ID == v.at {
			lines[n+1].style = chosen
		}
	}
	return append([]line{{title, heading}}, lines...)
}

// scroll keeps the chosen connection among those that are shown.
func (v *view) scroll(list []admin.Connection, shown int) {
	v.first = max(min(v.first, len(list)-shown), 0)
	if n := place(list, v.at); n >= 0 && shown > 0 {
		v.first = max(min(v.first, n), n-shown+1)
	}
}

func place(list []admin.Connection, id uint64) int {
	for n, c := range list {
		if id != 0 && c.ID == id {
			return n
		}
	}
	return -1
}

// client is what is known of the program at the other end, not escaped.
func client(c admin.Connection) string {
	switch p := c.Peer; {
	case p == nil:
		return c.Remote
	case p.Executable != "":
		return fmt.Sprintf("%s[%d]", filepath.Base(p.Executable), p.PID)
	case p.PID != 0:
		return fmt.Sprintf("pid %d", p.PID)
	default:
		return fmt.Sprintf("uid %d", p.UID)
	}
}

func (v *view) footer() line {
	switch {
	case v.asking != nil:
		return line{fmt.Sprintf("Close connection %d of %s (%s)? y/n", v.asking.ID, Escape(v.asking.Service), Escape(client(*v.asking))), question}
	case v.note != "":
		return line{Escape(v.note), question}
	}
	return line{"q quit   up/down j/k choose   s sort   x close the chosen connection", plain}
}
