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
	return usualClient(env, name)
}

// usualClient looks where a broker has its socket by default. The configuration,
// if there is one, names no place of its own.
func usualClient(env Env, configuration string) (*admin.Client, error) {
	places := assemble.AdminSockets(env.LookupEnv)
	for _, path := range places {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return admin.Dial(path), nil
		}
	}
	looked := "there is no " + strings.Join(places, " and no ")
	if configuration != "" {
		looked = configuration + " names none (admin.socket), and " + looked
	}
	return nil, failed(fmt.Errorf("no admin socket is found: %s. A broker that runs has its socket elsewhere, or none: name the socket with --socket or the broker's configuration with -f, or add one to that, such as admin: {socket: unix:///run/user/1000/secretless.sock}, and start the broker again", looked))
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
