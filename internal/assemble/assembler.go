package assemble

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"secretless/internal/broker"
	"secretless/internal/config"
	"secretless/internal/connector"
	"secretless/internal/otlp"
	"secretless/internal/provider"
)

// Options are what an Assembler takes from outside.
type Options struct {
	// LookupEnv is os.LookupEnv or a test's.
	LookupEnv func(string) (string, bool)
	Log       *slog.Logger
	// Connectors and Providers default to the tables of this package.
	Connectors map[string]connector.Definition
	Providers  map[string]provider.Definition
}

// Assembler builds services from configurations, one after the other: provider
// instances whose settings did not change are shared with the services built
// before, so that a reload keeps their clients and caches. For one caller at a
// time, but for Running.
type Assembler struct {
	lookupEnv  func(string) (string, bool)
	log        *slog.Logger
	connectors map[string]connector.Definition
	providers  map[string]provider.Definition

	mu      sync.Mutex
	running map[string]*provider.Instance // by digest: those of the last committed Build
}

// New makes an Assembler.
func New(o Options) *Assembler {
	a := &Assembler{
		lookupEnv:  o.LookupEnv,
		log:        o.Log,
		connectors: o.Connectors,
		providers:  o.Providers,
		running:    map[string]*provider.Instance{},
	}
	if a.connectors == nil {
		a.connectors = Connectors()
	}
	if a.providers == nil {
		a.providers = Providers()
	}
	return a
}

// Parse reads a configuration with what the tables know about sharing
// listeners. Its error is a config.Errors.
func (a *Assembler) Parse(name string, data []byte) (*config.File, error) {
	return config.Parse(name, data, config.Options{
		SharesListener: func(id string) bool { return a.connectors[id].Share != nil },
		AdminSocket:    a.adminSocket(),
	})
}

// Built is what Build made: services ready for broker.Apply. Exactly one of
// Commit and Discard must be called.
type Built struct {
	// Services are in file order. They belong to the broker once applied.
	Services []*broker.Service
	// Configured are the services as the file has them, one each: those that
	// share an address are one of Services. They are there to be looked at, and
	// belong to Services.
	Configured []*broker.Service
	// OTLP is where metrics and traces are sent, nil for nowhere. It belongs to
	// the caller once committed.
	OTLP *otlp.Destination
	// Warnings are what Build noticed, in file order, those of the parser
	// included.
	Warnings []config.Diagnostic

	assembler *Assembler
	instances map[string]*provider.Instance
}

// Build makes every service of file, or none: its error is a config.Errors
// with everything that is wrong, in file order. It connects nowhere and reads
// no secret.
func (a *Assembler) Build(file *config.File) (*Built, error) {
	b := &build{
		Assembler: a,
		file:      file,
		named:     map[string]*named{},
		instances: map[string]*provider.Instance{},
		sources:   map[*broker.Service]*config.Service{},
	}
	b.providersSection()
	for i := range file.Services {
		b.service(&file.Services[i])
	}
	configured := slices.Clone(b.services)
	b.share()
	destination := b.destination()
	if err := b.errs.Err(); err != nil {
		for _, s := range b.services {
			discard(s)
		}
		if destination != nil {
			destination.Close()
		}
		closeInstances(b.instances, a.running)
		return nil, err
	}
	return &Built{OTLP: destination, Services: b.services, Configured: configured, Warnings: file.Warnings, assembler: a, instances: b.instances}, nil
}

// Commit says that the services run: provider instances that no service of
// this Build uses are given up.
func (b *Built) Commit() {
	closeInstances(b.assembler.swap(b.instances), b.instances)
}

// Discard closes the services and what was made for them. It is for services
// that no broker has taken over.
func (b *Built) Discard() {
	for _, s := range b.Services {
		discard(s)
	}
	b.dropped()
}

// Rejected says that broker.Apply failed: it has closed the services itself.
func (b *Built) Rejected() { b.dropped() }

func (b *Built) dropped() {
	if b.OTLP != nil {
		b.OTLP.Close()
	}
	closeInstances(b.instances, b.assembler.running)
}

// Close gives up the provider instances of the last committed Build. Services
// that still run hold theirs.
func (a *Assembler) Close() {
	closeInstances(a.swap(nil), nil)
}

func (a *Assembler) swap(next map[string]*provider.Instance) (old map[string]*provider.Instance) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, a.running = a.running, next
	return old
}

// Running lists the provider instances of the last committed Build by name, to
// be looked at. It may be called at any time.
func (a *Assembler) Running() []*provider.Instance {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.SortedFunc(maps.Values(a.running), func(x, y *provider.Instance) int {
		return cmp.Compare(x.Name(), y.Name())
	})
}

// closeInstances gives up those that are not among keep, all at the same time:
// each may wait for a server that does not answer any more.
func closeInstances(instances, keep map[string]*provider.Instance) {
	var closing sync.WaitGroup
	for digest, instance := range instances {
		if keep[digest] != instance {
			closing.Go(instance.Close)
		}
	}
	closing.Wait()
}

// build is the state of one Build.
type build struct {
	*Assembler
	file      *config.File
	errs      config.Errors
	named     map[string]*named
	making    []string // names of instances that wait for those they need
	instances map[string]*provider.Instance
	services  []*broker.Service
	sources   map[*broker.Service]*config.Service
}

func (b *build) errorf(pos config.Pos, format string, args ...any) {
	b.errs = append(b.errs, b.file.Errorf(pos, format, args...))
}

// report adds an error that a factory returned; locate finds the place of a
// *connector.FieldError, at is the place of everything else.
func (b *build) report(err error, at config.Pos, locate func(path ...string) config.Pos) {
	if err == nil {
		return
	}
	if list, ok := err.(config.Errors); ok { //nolint:errorlint // the tree is walked here
		b.errs = append(b.errs, list...)
		return
	}
	if field, ok := err.(*connector.FieldError); ok && locate != nil { //nolint:errorlint // as above
		b.errorf(locate(field.Path...), "%v", field.Err)
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // as above
		for _, e := range joined.Unwrap() {
			b.report(e, at, locate)
		}
		return
	}
	if list, ok := errors.AsType[config.Errors](err); ok {
		b.errs = append(b.errs, list...)
		return
	}
	b.errorf(at, "%v", err)
}

// unknown is the text for a name that is in no table.
func unknown(what, name string, known []string) string {
	text := fmt.Sprintf("unknown %s %q", what, name)
	if s := suggest(name, known); s != "" {
		return text + fmt.Sprintf(": did you mean %q?", s)
	}
	slices.Sort(known)
	return fmt.Sprintf("%s; known are %s", text, strings.Join(known, ", "))
}

// otherNames are what people call connectors and providers.
var otherNames = map[string]string{
	"postgres": "pg", "postgresql": "pg", "mariadb": "mysql", "sqlserver": "mssql", "http": "generic_http", "s3": "aws",
	"environment": "env", "secretsmanager": "aws", "ssm": "aws-ssm", "k8s": "kubernetes", "openbao": "vault", "keyring": "keychain",
}

func suggest(name string, known []string) string {
	if s := otherNames[strings.ToLower(name)]; slices.Contains(known, s) {
		return s
	}
	return config.Suggest(name, known)
}

func names[V any](m map[string]V) []string { return slices.Collect(maps.Keys(m)) }
