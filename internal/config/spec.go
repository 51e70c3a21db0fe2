package config

import "time"

// The types below are the file as it is written: their tags are the one
// source of its keys, defaults and documentation, for Parse and Schema.

type fileSpec struct {
	Version   versionSpec            `yaml:"version" required:"true" example:"\"2\"" doc:"Format of this file: \"2\"."`
	Services  named[serviceSpec]     `yaml:"services" required:"true" doc:"What to listen on and how to log in there, by name; at least one."`
	Providers named[providerSection] `yaml:"providers" doc:"Named, configured instances of credential providers."`
	Admin     adminSpec              `yaml:"admin" doc:"Where the broker answers questions about itself."`
	Audit     auditSpec              `yaml:"audit" doc:"Where audit events are written."`
	Metrics   metricsSpec            `yaml:"metrics" doc:"Where counts are read, and how often they are sent."`
	Tracing   *tracingSpec           `yaml:"tracing" doc:"Traces of connections and HTTP requests; none where it is absent."`
	OTLP      *otlpSpec              `yaml:"otlp" doc:"OpenTelemetry collector that metrics and traces are sent to."`
	Hardening string                 `yaml:"hardening" default:"default" enum:"default,strict,off" doc:"What the broker gives up of its rights when it starts, on Linux: what the configuration does not need, all of it or no start, or nothing."`
	State     absolutePath           `yaml:"state" doc:"Directory for host keys and the local CA; default $STATE_DIRECTORY, else $XDG_STATE_HOME/secretless, else ~/.local/state/secretless."`
}

type serviceSpec struct {
	Connector   string         `yaml:"connector" doc:"Id of the service connector: the protocol of the target."`
	Protocol    string         `yaml:"protocol" deprecated:"true" doc:"Write connector instead."`
	Debug       bool           `yaml:"debug" deprecated:"true" doc:"Without effect; the log level is an option of the command."`
	ListenOn    listenList     `yaml:"listenOn" required:"true" example:"tcp://localhost:5432" doc:"Where clients connect: tcp://host:port, unix:///path or systemd://name, or a list of them."`
	Credentials credentialList `yaml:"credentials" doc:"What the connector needs, by name: a scalar is the value itself, a map {from, get} names a provider and the id in it."`
	Config      Section        `yaml:"config" doc:"Settings of the connector."`
	Allow       *allowSpec     `yaml:"allow" doc:"Which local processes may connect; everyone who reaches the address where it is absent."`
	Socket      *socketSpec    `yaml:"socket" doc:"How the files of unix sockets are made."`
	Limits      limitsSpec     `yaml:"limits" doc:"Bounds on what clients can use."`
	Drain       time.Duration  `yaml:"drain" default:"30s" doc:"How long connections of a replaced or stopped service may live on."`
	TLS         *tlsSpec       `yaml:"tls" doc:"TLS for clients."`
}

type allowSpec struct {
	Users       []string       `yaml:"users" single:"true" doc:"Names or numeric ids of users."`
	Groups      []string       `yaml:"groups" single:"true" doc:"Names or numeric ids of groups; supplementary groups count."`
	Executables []absolutePath `yaml:"executables" single:"true" doc:"Absolute paths of programs."`
}

type socketSpec struct {
	Mode  modeSpec `yaml:"mode" default:"0600" doc:"Permission bits of the socket file, octal in quotes."`
	Owner string   `yaml:"owner" doc:"Name or numeric id of the user who owns the file."`
	Group string   `yaml:"group" doc:"Name or numeric id of the group that owns the file."`
}

type limitsSpec struct {
	Connections      uint32        `yaml:"connections" default:"10000" doc:"Most connections at a time; 0 means no limit."`
	ConnectTimeout   time.Duration `yaml:"connectTimeout" default:"10s" doc:"How long reaching the target may take: name, TCP and TLS."`
	HandshakeTimeout time.Duration `yaml:"handshakeTimeout" default:"15s" doc:"How long a client may take until it is logged in, the target's part included."`
	IdleTimeout      time.Duration `yaml:"idleTimeout" default:"0s" doc:"How long a connection may be silent in both directions; 0s means for ever."`
}

type tlsSpec struct {
	Cert     absolutePath `yaml:"cert" required:"true" example:"/etc/secretless/tls.crt" doc:"Path of the certificate and its chain, PEM."`
	Key      keySpec      `yaml:"key" required:"true" example:"/etc/secretless/tls.key" doc:"The private key, PEM: a path, or {from, get}."`
	ClientCA absolutePath `yaml:"clientCA" doc:"Path of CAs, PEM: clients must present a certificate of one of them."`
}

type providerSpec struct {
	Type         string         `yaml:"type" required:"true" example:"vault" doc:"Id of the provider."`
	Cache        *time.Duration `yaml:"cache" doc:"How long values are kept; 0s turns it off."`
	Timeout      time.Duration  `yaml:"timeout" default:"5s" doc:"How long a lookup may take."`
	StaleIfError time.Duration  `yaml:"staleIfError" default:"0s" doc:"How long an expired value may serve while the provider cannot be reached."`
}

type adminSpec struct {
	Health healthSpec `yaml:"health" doc:"Address of /live and /ready, default tcp://127.0.0.1:5335; off turns it off."`
	Socket socketAddr `yaml:"socket" doc:"Unix socket of status, top, reload and the other commands that ask a running broker: unix:///path; default $XDG_RUNTIME_DIR/secretless/admin.sock or /run/secretless/admin.sock, where there is such a directory; off turns it off."`
}
