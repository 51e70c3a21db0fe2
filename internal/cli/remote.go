package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"secretless/internal/admin"
	"secretless/internal/assemble"
	"secretless/internal/config"
)

// adminFlags say which broker a command talks to.
type adminFlags struct {
	file   string
	socket string
}

func (f *adminFlags) register(cmd *cobra.Command) {
	configFlag(cmd, &f.file)
	cmd.Flags().StringVar(&f.socket, "socket", "", "the broker's admin socket (default: admin.socket of the configuration, $XDG_RUNTIME_DIR/secretless/admin.sock or /run/secretless/admin.sock)")
}

// client finds the admin socket: the flag, the configuration, the places where
// a broker has it by default. The configuration is only read for its address,
// so mistakes elsewhere in it do not stand in the way, and it may be missing.
func (f *adminFlags) client(env Env) (*admin.Client, error) {
	if f.socket != "" {
		return admin.Dial(strings.TrimPrefix(f.socket, "unix://")), nil
	}
	file, name, err := parseOnly(env, f.file)
	switch {
	case err != nil && f.file != "":
		return nil, err
	case err == nil && file.Admin.SocketOff:
		return nil, usage(fmt.Errorf("%s turns the admin socket off (admin.socket); name another broker's with --socket", name))
	case err == nil && file.Admin.Socket != nil && file.Admin.Socket.Pos != (config.Pos{}):
		return admin.Dial(file.Admin.Socket.Address), nil
	}
	if f.file == "" {
		name = ""
	}
	return usualClient(env, name)
}

// usualClient looks where a broker has its socket by default. The configuration
// that was asked for, if one was, has no place of its own.
func usualClient(env Env, configuration string) (*admin.Client, error) {
	places := assemble.AdminSockets(env.LookupEnv)
	for _, path := range places {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return admin.Dial(path), nil
		}
	}
	if configuration != "" {
		return nil, failed(fmt.Errorf("no broker is found: %s has no admin.socket, and there is no %s; start the broker or, if it runs, add one, such as admin: {socket: unix:///run/user/1000/secretless.sock}, and start it again",
			configuration, strings.Join(places, " and no ")))
	}
	return nil, failed(fmt.Errorf("no broker is found: there is no %s; start one, or name its admin socket with --socket or its configuration with -f", strings.Join(places, " and no ")))
}

// parseOnly reads a configuration for what it says about the broker itself:
// nothing is built, and mistakes are reported only where nothing can be read.
func parseOnly(env Env, path string) (file *config.File, name string, err error) {
	src, err := openConfig(env, path)
	if err != nil {
		return nil, "", err
	}
	a := assemble.New(assemble.Options{LookupEnv: env.LookupEnv, Log: slog.New(slog.DiscardHandler)})
	file, err = a.Parse(src.name, src.data)
	if file == nil {
		return nil, "", usage(err)
	}
	return file, src.name, nil
}

// failed is an error of what was asked, not of how it was asked.
func failed(err error) error {
	if _, ok := errors.AsType[*exitError](err); ok {
		return err
	}
	return &exitError{code: ExitFailure, err: err}
}
