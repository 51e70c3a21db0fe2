package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"secretless/internal/admin"
	"secretless/internal/broker"
	"secretless/internal/config"
	"secretless/internal/metrics"
	"secretless/internal/provider"
)

// openAdmin starts the health endpoint and the admin socket.
func (p *process) openAdmin(file *config.File) error {
	if err := p.openHealth(file.Admin.Health); err != nil {
		return err
	}
	return p.openSocket(file.Admin.Socket)
}

// makeSocketPlace makes the directory of the admin socket, while the broker
// still may. Without it the socket is not opened, which is when that is told.
func (p *process) makeSocketPlace(at *config.Listen) {
	if at != nil {
		_ = admin.MakePlace(at.Address)
	}
}

// openSocket opens the admin socket. As with the health endpoint, the broker
// runs without one where its default place cannot be had.
func (p *process) openSocket(at *config.Listen) error {
	if at == nil {
		return nil
	}
	l, err := p.listenPrivate(at)
	if err != nil && at.Pos == (config.Pos{}) {
		p.log.Warn("no admin socket: its default place cannot be had; set admin.socket to another one or to off", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the admin socket: %w", err)
	}
	p.serveAdmin(l, admin.Control(admin.Operations{
		Status: p.status, Connections: p.broker.Connections, Close: p.broker.CloseConnection,
		Reload: p.reload, Drain: p.broker.Drain, Level: p.logs.level, Recent: p.logs.recent, Log: p.log, Audit: p.audit.sink,
	}))
	return nil
}

func (p *process) listenPrivate(at *config.Listen) (net.Listener, error) {
	if err := admin.CheckPlace(at.Address); err != nil {
		return nil, err
	}
	l, err := broker.Listen(broker.Address{Network: at.Network, Address: at.Address})
	if err != nil {
		return nil, err
	}
	return admin.Private(l, p.log, p.audit.sink), nil
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
	health := admin.Health(func() bool { return p.ready.Load() && p.broker.Ready() })
	p.serveAdmin(l, admin.ByName(health, admin.NameOf(configured.Network, configured.Address)))
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
	took      time.Duration
	applied   time.Time // the configuration that runs
}

// began notes that the configuration of the start runs.
func (r *reloadStatus) began() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied = time.Now()
}

func (r *reloadStatus) metrics() metrics.Reloads {
	r.mu.Lock()
	defer r.mu.Unlock()
	return metrics.Reloads{Succeeded: r.succeeded, Failed: r.failed, LastFailed: r.lastError != "", LastSuccess: r.applied, Took: r.took}
}

func (r *reloadStatus) record(err error, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastTime, r.lastError, r.took = time.Now(), "", took
	if err == nil {
		r.applied = r.lastTime
		r.succeeded++
		return
	}
	r.failed++
	r.lastError = err.Error()
}

// status is what the admin socket's clients are told.
func (p *process) status() admin.Status {
	s := admin.Status{
		Version: versionText(), PID: os.Getpid(), Config: p.source.String(), Source: p.source.state(),
		Now: time.Now(), LogLevel: p.logs.level.Report(), Reloads: p.reloads.report(),
		Services: p.broker.Live(), Errors: p.logs.recent.Last(), Hardening: p.hardening,
	}
	if p.ready.Load() {
		s.Started, s.Ready = p.started, p.broker.Ready()
	}
	for _, i := range p.assembler.Running() {
		s.Providers = append(s.Providers, providerStatus(i))
	}
	return s
}

func providerStatus(i *provider.Instance) admin.Provider {
	s := i.Stats()
	p := admin.Provider{
		Name: i.Name(), Lookups: s.Lookups, Hits: s.Hits, Failures: s.Failures, Cached: s.Cached, Down: s.Down,
		Answered: moment(s.Answered), Failed: moment(s.Failed),
	}
	if s.LastError != nil {
		p.LastError = s.LastError.Error()
	}
	return p
}

// moment is nil for never.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (r *reloadStatus) report() admin.Reloads {
	r.mu.Lock()
	defer r.mu.Unlock()
	return admin.Reloads{Succeeded: r.succeeded, Failed: r.failed, LastTime: moment(r.lastTime), LastError: r.lastError}
}
