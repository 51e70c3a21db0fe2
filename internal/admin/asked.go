package admin

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"secretless/internal/audit"
)

// asked logs a request that changes something or looks into the process.
func (c *control) asked(r *http.Request, what string, attrs ...any) {
	c.Log.Info("admin request: "+what, append(attrs, "peer", Caller(r.Context()))...)
}

// ended records what came of one. That is no reason to refuse it where the
// audit is required and cannot be written: who drains a broker whose disk is
// full must be able to.
func (c *control) ended(r *http.Request, e audit.Event, began time.Time, err error) {
	e.Time, e.Type, e.Peer, e.Outcome = time.Now(), audit.Admin, Caller(r.Context()), audit.OK
	e.Duration = e.Time.Sub(began)
	if err != nil {
		e.Outcome = audit.Fail
	}
	c.Audit.Record(e)
}

func drainText(services []string) string {
	if len(services) == 0 {
		return "all services"
	}
	return strings.Join(services, ", ")
}

func levelText(level slog.Level, during time.Duration) string {
	if during == 0 {
		return levelName(level)
	}
	return levelName(level) + " for " + during.String()
}

func profileText(name string, d time.Duration) string {
	if d == 0 {
		return name
	}
	return name + " for " + d.String()
}
