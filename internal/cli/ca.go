package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"secretless/internal/localca"
)

func caCommand(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "The local CA that lets https:// clients be served without a secret",
		Long: `The local CA vouches, on this machine, for the hosts of the configured HTTP
services: the broker opens the tunnels of https:// clients for these hosts to add
credentials. Its key stays in the state directory, mode 0600, and its certificate
names the hosts, so that it is worth nothing for others.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(caInitCommand(env), caExportCommand(env), caTrustCommand(env), caRotateCommand(env))
	return cmd
}

// caFlags are those of what makes an authority.
type caFlags struct {
	file          string
	unconstrained bool
	days          int
	roots         string
}

const mostDays = 3650

func (f *caFlags) register(cmd *cobra.Command) {
	configFlag(cmd, &f.file)
	cmd.Flags().BoolVar(&f.unconstrained, "unconstrained", false, "let the CA vouch for every host: needed for services without hosts")
	cmd.Flags().IntVar(&f.days, "days", int(localca.DefaultLifetime.Hours()/24), "how long the CA is valid")
	rootsFlag(cmd, &f.roots)
}

func rootsFlag(cmd *cobra.Command, roots *string) {
	cmd.Flags().StringVar(roots, "roots", "", "PEM file with the system's root certificates (default: $SSL_CERT_FILE, or where the system keeps them)")
}

func caInitCommand(env Env) *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:     "init",
		Short:   "Make the local CA for the hosts of the configuration",
		Example: "  secretless ca init -f secretless.yml\n  secretless ca trust",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := readPlan(env, f.file)
			if err != nil {
				return err
			}
			made, err := f.plan(p)
			if err != nil {
				return err
			}
			if err := localca.Create(p.stateDir, made); err != nil {
				return failed(err)
			}
			return f.report(env, p, made, "made the local CA "+localca.Path(p.stateDir))
		},
	}
	f.register(cmd)
	return cmd
}

func caRotateCommand(env Env) *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the local CA: for other hosts, before it expires, or when its key was seen",
		Long: `Replace the local CA by a new one for the hosts that the configuration has now. A
running broker takes it up by itself. The old one is exported beside the new one
until it expires, and clients that trust only the old one accept the new one's
certificates until then, for hosts that both cover; after a key was seen by
others, remove the old one from where it is trusted at once.`,
		Example: "  secretless ca rotate -f secretless.yml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := readPlan(env, f.file)
			if err != nil {
				return err
			}
			made, err := f.plan(p)
			if err != nil {
				return err
			}
			broken, err := localca.Rotate(p.stateDir, made)
			if err != nil {
				return failed(err)
			}
			if broken != nil {
				fmt.Fprintf(env.Stderr, "secretless: the old CA is not used any more, stop trusting it: %v\n", broken)
			}
			return f.report(env, p, made, "replaced the local CA "+localca.Path(p.stateDir))
		},
	}
	f.register(cmd)
	return cmd
}

func (f *caFlags) plan(p *plan) (localca.Plan, error) {
	if f.days < 1 || f.days > mostDays {
		return localca.Plan{}, usage(fmt.Errorf("--days is %d; give a number from 1 to %d", f.days, mostDays))
	}
	scope, err := p.scope(f.unconstrained)
	return localca.Plan{Scope: scope, Lifetime: time.Duration(f.days) * 24 * time.Hour, Now: time.Now()}, err
}

// report writes the files for clients and says what was done.
func (f *caFlags) report(env Env, p *plan, made localca.Plan, what string) error {
	hosts := "every host"
	if !made.Scope.Everything {
		hosts = strings.Join(made.Scope.Hosts, ", ")
	}
	fmt.Fprintf(env.Stdout, "%s\nfor: %s\nuntil: %s\n", what, hosts, made.Now.Add(made.Lifetime).Format(time.DateOnly))
	dir := p.trustDir("")
	if _, err := p.writeTrust(env, dir, f.roots); err != nil {
		return failed(fmt.Errorf("writing what clients need to %s: %w", dir, err))
	}
	_, err := fmt.Fprintf(env.Stdout, "clients: secretless env SERVICE prints what they need; secretless ca trust says how to let the whole system trust it\n")
	return err
}

func caExportCommand(env Env) *cobra.Command {
	var file, output, dir, roots string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the certificate that clients must trust, or write the files that they need",
		Long: `Print the certificate that clients must trust, in PEM; after a rotation also the
one before. With --dir, write what ` + "`secretless env`" + ` points clients to, for users who
cannot read the state directory: the certificate, the same together with the
system's roots, and that as a trust store for Java.`,
		Example: "  secretless ca export > secretless-ca.pem\n  secretless ca export --dir /etc/secretless/trust",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := readPlan(env, file)
			if err != nil {
				return err
			}
			if dir != "" {
				if _, err := p.writeTrust(env, dir, roots); err != nil {
					return failed(err)
				}
				_, err = fmt.Fprintf(env.Stdout, "wrote %s, %s and %s to %s\n", localca.CAFile, localca.BundleFile, localca.StoreFile, dir)
				return err
			}
			text, err := p.export()
			if err != nil {
				return failed(err)
			}
			if output != "" {
				return fileError(os.WriteFile(output, text, 0o644)) //nolint:gosec // a certificate is for everybody
			}
			_, err = env.Stdout.Write(text)
			return err
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to this file")
	cmd.Flags().StringVar(&dir, "dir", "", "write all files for clients to this directory")
	rootsFlag(cmd, &roots)
	cmd.MarkFlagsMutuallyExclusive("output", "dir")
	return cmd
}

func (p *plan) export() ([]byte, error) {
	ca, err := localca.Open(p.stateDir)
	if err != nil {
		return nil, err
	}
	trust, err := ca.Trust()
	return localca.EncodePEM(trust), err
}

func fileError(err error) error {
	if err == nil {
		return nil
	}
	return failed(err)
}

func caTrustCommand(env Env) *cobra.Command {
	var file string
	var install bool
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Say how to let the whole system trust the local CA, or do it with --install",
		Long: `Print, for each system, the commands that let all its programs trust the local CA.
Nothing is changed without --install, which runs them on Debian, Ubuntu, Fedora
and RHEL and says what it does. To let single programs trust it, use ` + "`secretless env`" + `.`,
		Example: "  secretless ca trust\n  sudo secretless ca trust --install -f /etc/secretless.yml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := readPlan(env, file)
			if err != nil {
				return err
			}
			ca, err := localca.Open(p.stateDir)
			if err != nil {
				return failed(err)
			}
			trust, err := ca.Trust()
			if err != nil {
				return failed(err)
			}
			if !install {
				return printTrust(env, p)
			}
			for _, store := range trustStores() {
				if store.here() {
					return store.install(cmd.Context(), env, trust)
				}
			}
			return failed(errors.New("this is no system that --install knows; run without it for the commands"))
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&install, "install", false, "change this system's trust store")
	return cmd
}
