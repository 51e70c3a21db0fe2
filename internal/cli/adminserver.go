package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"secretless/internal/admin"
	"secretless/internal/broker"
	"secretless/internal/config"
)

// openAdmin starts the health endpoint and the admin socket.
func (p *process) openAdmin(file *config.File) error {
	if err := p.openHealth(file.Admin.Health); err != nil {
		return err
	}
	if file.Admin.Socket == nil {
		return nil
	}
	l, err := broker.Listen(broker.Address{Network: file.Admin.Socket.Network, Address: file.Admin.Socket.Address})
	if err != nil {
		return fmt.Errorf("opening the admin socket: %w", err)
	}
	p.serveAdmin(l, admin.Control(p.reload, func() any { return p.status() }))
	return nil
}

// openHealth opens the health endpoint. When the default address is taken, as
// by a second broker on a laptop, the broker runs without; an address that the
// file names must be free.
func (p *process) openHealth(configured *config.Listen) error {
	if configured == nil {
		return nil
	}
	l, err := broker.Listen(broker.Address{Network: configured.Network, Address: configured.Address})
	if errors.Is(err, syscall.EADDRINUSE) && configured.Pos == (config.Pos{}) {
		p.log.Warn("no health endpoint: its default address is taken; set admin.health to another one", "address", configured.String())
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the health endpoint: %w", err)
	}
	p.serveAdmin(l, admin.Health(func() bool { return p.ready.Load() && p.broker.Ready() }))
	return nil
}

func (p *process) serveAdmin(l net.Listener, h http.Handler) {
	p.servers = append(p.servers, admin.Serve(l, h, p.log))
}

// reloadStatus counts reloads for status.
type reloadStatus struct {
	mu        sync.Mutex
	succeeded int
	failed    int
	lastTime  time.Time
	lastError string
}

func (r *reloadStatus) record(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastTime, r.lastError = time.Now(), ""
	if err == nil {
		r.succeeded++
		return
	}
	r.failed++
	r.lastError = err.Error()
}

// statusReport is what the admin socket's /status answers.
type statusReport struct {
	Version  string                 `json:"version"`
	Config   string                 `json:"config"`
	Source   string                 `json:"source,omitempty"` // what is known about the way to Config
	Ready    bool                   `json:"ready"`
	Reloads  reloadReport           `json:"reloads"`
	Services []broker.ServiceStatus `json:"services"`
}

type reloadReport struct {
	Succeeded int        `json:"succeeded"`
	Failed    int        `json:"failed"`
	LastTime  *time.Time `json:"lastTime,omitempty"`
	LastError string     `json:"lastError,omitempty"`
}

func (p *process) status() statusReport {
	return statusReport{
		Version:  versionText(),
		Config:   p.source.String(),
		Source:   p.source.state(),
		Ready:    p.ready.Load() && p.broker.Ready(),
		Reloads:  p.reloads.report(),
		Services: p.broker.Status(),
	}
}

func (r *reloadStatus) report() reloadReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := reloadReport{Succeeded: r.succeeded, Failed: r.failed, LastError: r.lastError}
	if !r.lastTime.IsZero() {
		last := r.lastTime
		out.LastTime = &last
	}
	return out
}
