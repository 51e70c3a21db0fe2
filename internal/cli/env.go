package cli

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"secretless/internal/assemble"
	"secretless/internal/config"
	"secretless/internal/connector"
	"secretless/internal/localca"
)

func envCommand(env Env) *cobra.Command {
	var file, shell, trust, roots string
	cmd := &cobra.Command{
		Use:   "env SERVICE...",
		Short: "Print the environment that leads clients to services",
		Long: `Print the environment variables that lead the usual clients to services: proxy
and certificates for HTTP, PGHOST and the like for databases. Nothing in them is
secret. Certificates are in files that are written when the local CA has changed;
for users who cannot read the state directory, write them elsewhere with
` + "`secretless ca export --dir DIR`" + ` and name that place with --trust.`,
		Example: `  eval "$(secretless env orders-db openai)"
  secretless env openai --shell fish | source`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, names []string) error {
			syntax, err := syntaxOf(env, shell)
			if err != nil {
				return err
			}
			p, err := readPlan(env, file)
			if err != nil {
				return err
			}
			vars, err := p.environment(env, names, trust, roots)
			if err != nil {
				return err
			}
			for _, v := range vars {
				fmt.Fprintln(env.Stdout, syntax(v.Name, v.Value))
			}
			return nil
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&shell, "shell", "", "sh, fish or powershell (default: by $SHELL)")
	cmd.Flags().StringVar(&trust, "trust", "", "`DIR` that secretless ca export --dir wrote, instead of one in the state directory")
	rootsFlag(cmd, &roots)
	return cmd
}

// environment is that of all the services together.
func (p *plan) environment(env Env, names []string, trust, roots string) ([]connector.Variable, error) {
	var all []connector.Variable
	http := ""
	for _, name := range names {
		s, err := p.find(name)
		if err != nil {
			return nil, err
		}
		definition := assemble.Connectors()[s.Connector]
		if definition.ClientEnv == nil {
			return nil, usage(fmt.Errorf("service %q: clients of connector %s read no environment variable; point them to %s", name, s.Connector, s.Listen[0]))
		}
		vars, err := clientEnv(s, definition)
		if err != nil {
			return nil, usage(fmt.Errorf("service %q: %w", name, err))
		}
		if all, err = join(all, vars, name); err != nil {
			return nil, err
		}
		if definition.Share != nil {
			http = vars[0].Value
		}
	}
	if http == "" {
		return all, nil
	}
	if noProxy := p.noProxy(); noProxy != "" {
		all = append(all, connector.Variable{Name: "NO_PROXY", Value: noProxy}, connector.Variable{Name: "no_proxy", Value: noProxy})
	}
	certificates, err := p.certificates(env, http, trust, roots)
	return append(all, certificates...), err
}

// clientEnv asks the connector about the first address that its clients can
// be told of.
func clientEnv(s *config.Service, d connector.Definition) ([]connector.Variable, error) {
	var first error
	for _, l := range s.Listen {
		if l.Network == "systemd" {
			continue
		}
		vars, err := d.ClientEnv(connector.Endpoint{Network: l.Network, Address: reachable(l), TLS: s.TLS != nil})
		if err == nil {
			return vars, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = errors.New("its address is systemd's, which this command does not know")
	}
	return nil, first
}

// reachable is an address to connect to, where the service listens on every
// interface.
func reachable(l config.Listen) string {
	if l.Network != "tcp" {
		return l.Address
	}
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return l.Address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// join adds vars, unless two services want different values.
func join(all, vars []connector.Variable, service string) ([]connector.Variable, error) {
	for _, v := range vars {
		i := slices.IndexFunc(all, func(o connector.Variable) bool { return o.Name == v.Name })
		switch {
		case i < 0:
			all = append(all, v)
		case all[i].Value != v.Value:
			return nil, usage(fmt.Errorf("service %q needs %s=%s, another one %s: their clients need environments of their own", service, v.Name, v.Value, all[i].Value))
		}
	}
	return all, nil
}

// noProxy keeps local servers out of it, unless one is a service's target.
func (p *plan) noProxy() string {
	var local []string
	for _, host := range thisMachine() {
		if !slices.Contains(p.hosts, host) && len(p.unlisted) == 0 {
			local = append(local, host)
		}
	}
	return strings.Join(local, ",")
}

func thisMachine() []string { return []string{"localhost", "127.0.0.1", "::1"} }

// certificates are the variables by which programs find what they trust.
func (p *plan) certificates(env Env, proxy, trust, roots string) ([]connector.Variable, error) {
	dir := p.trustDir(trust)
	if trust == "" {
		_, err := p.writeTrust(env, dir, roots)
		if absent(err) {
			fmt.Fprintln(env.Stderr, "secretless: there is no local CA, so that https:// URLs do not work; run `secretless ca init`")
			return nil, nil
		}
		if err != nil {
			return nil, failed(err)
		}
	}
	bundle := filepath.Join(dir, localca.BundleFile)
	vars := []connector.Variable{
		{Name: "NODE_EXTRA_CA_CERTS", Value: filepath.Join(dir, localca.CAFile)}, // beside the roots
	}
	// These replace the system's roots, so that the bundle holds those too.
	for _, name := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE"} {
		vars = append(vars, connector.Variable{Name: name, Value: bundle})
	}
	return append(vars, connector.Variable{Name: "JAVA_TOOL_OPTIONS", Value: javaOptions(proxy, p.noProxy() != strings.Join(thisMachine(), ","), filepath.Join(dir, localca.StoreFile))}), nil
}

// javaOptions say the same to Java, which reads no proxy variables and leaves
// this machine out unless told otherwise.
func javaOptions(proxy string, localTarget bool, store string) string {
	options := []string{
		"-Djavax.net.ssl.trustStore=" + store, "-Djavax.net.ssl.trustStoreType=PKCS12",
		"-Djavax.net.ssl.trustStorePassword=" + localca.StorePassword,
	}
	if _, address, ok := strings.Cut(proxy, "://"); ok {
		if host, port, err := net.SplitHostPort(address); err == nil {
			for _, scheme := range []string{"http", "https"} {
				options = append(options, "-D"+scheme+".proxyHost="+host, "-D"+scheme+".proxyPort="+port)
			}
		}
	}
	if localTarget {
		options = append(options, "-Dhttp.nonProxyHosts=")
	}
	for i, o := range options {
		if strings.Contains(o, " ") {
			options[i] = `"` + o + `"`
		}
	}
	return strings.Join(options, " ")
}

// syntaxOf is how a shell sets a variable.
func syntaxOf(env Env, shell string) (func(name, value string) string, error) {
	if shell == "" {
		shell = "sh"
		if path, _ := env.LookupEnv("SHELL"); filepath.Base(path) == "fish" {
			shell = "fish"
		} else if runtime.GOOS == "windows" && path == "" {
			shell = "powershell"
		}
	}
	switch shell {
	case "sh", "bash", "zsh":
		return func(name, value string) string { return "export " + name + "=" + shellQuote(value) }, nil
	case "fish":
		return func(name, value string) string {
			return "set -gx " + name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
		}, nil
	case "powershell", "pwsh":
		return func(name, value string) string {
			return "$env:" + name + " = '" + strings.ReplaceAll(value, "'", "''") + "'"
		}, nil
	}
	return nil, usage(fmt.Errorf("--shell %q is unknown; write sh, fish or powershell", shell))
}

// shellQuote is a word for sh that means exactly value.
func shellQuote(value string) string {
	if value != "" && strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,=@%+") == "" {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
