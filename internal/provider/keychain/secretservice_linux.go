package keychain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/godbus/dbus/v5"

	"secretless/internal/secret"
)

// Names of the Secret Service API,
// https://specifications.freedesktop.org/secret-service.
const (
	busName      = "org.freedesktop.secrets"
	servicePath  = dbus.ObjectPath("/org/freedesktop/secrets")
	serviceIface = "org.freedesktop.Secret.Service"
	itemIface    = "org.freedesktop.Secret.Item"
	promptIface  = "org.freedesktop.Secret.Prompt"
	noObject     = dbus.ObjectPath("/")
)

// accountAttributes are what programs call the account: most username, as
// Python's and Go's keyring libraries do; some account.
var accountAttributes = []string{"username", "account"}

// secretService is the Secret Service of the user's session, on D-Bus. Every
// lookup has a connection of its own, which ends with the lookup's context:
// nothing hangs on a daemon that does not answer, and a bus that starts again
// is found.
type secretService struct {
	lookupEnv func(string) (string, bool)
}

func newStore(lookupEnv func(string) (string, bool)) store { return secretService{lookupEnv} }

// address is where the session bus is. None is started for want of one.
func (s secretService) address() (string, error) {
	if address, ok := s.lookupEnv("DBUS_SESSION_BUS_ADDRESS"); ok && address != "" {
		return address, nil
	}
	if dir, ok := s.lookupEnv("XDG_RUNTIME_DIR"); ok && dir != "" {
		path := filepath.Join(dir, "bus")
		if _, err := os.Stat(path); err == nil {
			return "unix:path=" + dbus.EscapeBusAddressValue(path), nil
		}
	}
	return "", errors.New("there is no D-Bus session: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR leads to one; " +
		"start the broker in the user's session, as a user unit of systemd for example")
}

func (s secretService) open(ctx context.Context) (session, error) {
	address, err := s.address()
	if err != nil {
		return nil, err
	}
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		return nil, transientError{fmt.Errorf("connecting to the D-Bus session bus: %w", err)}
	}
	service := &serviceSession{conn: conn}
	var output dbus.Variant
	// Without encryption: the bus is a socket of this user alone, and whoever
	// can watch it can ask the keyring himself.
	err = service.call(ctx, servicePath, serviceIface+".OpenSession", "plain", dbus.MakeVariant("")).Store(&output, &service.session)
	if err != nil {
		service.close()
		return nil, serviceError(err)
	}
	return service, nil
}

// serviceSession is a connection with an open session of the Secret Service,
// which ends with the connection.
type serviceSession struct {
	conn    *dbus.Conn
	session dbus.ObjectPath
}

func (s *serviceSession) close() { _ = s.conn.Close() }

func (s *serviceSession) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return s.conn.Object(busName, path).CallWithContext(ctx, method, 0, args...)
}

// wireSecret is the API's struct Secret.
type wireSecret struct {
	Session     dbus.ObjectPath
	Parameters  []byte
	Value       []byte
	ContentType string
}

func (s *serviceSession) read(ctx context.Context, i item) (secret.Value, error) {
	path, err := s.find(ctx, i)
	if err != nil {
		return secret.Value{}, err
	}
	var found wireSecret
	if err := s.call(ctx, path, itemIface+".GetSecret", s.session).Store(&found); err != nil {
		return secret.Value{}, serviceError(err)
	}
	return secret.New(found.Value), nil
}

// find looks in all collections. An item that is open is preferred to one that
// is locked; which of several is meant is not guessed.
func (s *serviceSession) find(ctx context.Context, i item) (dbus.ObjectPath, error) {
	var open, locked []dbus.ObjectPath
	for _, attribute := range accountAttributes {
		attributes := map[string]string{"service": i.service, attribute: i.account}
		if err := s.call(ctx, servicePath, serviceIface+".SearchItems", attributes).Store(&open, &locked); err != nil {
			return "", serviceError(err)
		}
		if len(open)+len(locked) > 0 {
			break
		}
	}
	switch {
	case len(open) == 1:
		return open[0], nil
	case len(open) > 1 || len(locked) > 1:
		return "", fmt.Errorf("the keyring has %d items with these attributes: delete all but the one that is meant", max(len(open), len(locked)))
	case len(locked) == 1:
		return locked[0], s.unlock(ctx, locked[0])
	}
	return "", errNotFound
}

// unlock opens what can be opened without asking anybody: a window that pops up
// whenever a program connects teaches users to type their password into it.
func (s *serviceSession) unlock(ctx context.Context, path dbus.ObjectPath) error {
	var opened []dbus.ObjectPath
	var prompt dbus.ObjectPath
	if err := s.call(ctx, servicePath, serviceIface+".Unlock", []dbus.ObjectPath{path}).Store(&opened, &prompt); err != nil {
		return serviceError(err)
	}
	if prompt == noObject && len(opened) == 1 {
		return nil
	}
	if prompt != noObject {
		_ = s.call(ctx, prompt, promptIface+".Dismiss").Err // nothing waits for it
	}
	return errLocked
}

// serviceError says what an answer on the bus means. Its text is left out: the
// daemon may put anything there.
func serviceError(err error) error {
	e, ok := errors.AsType[dbus.Error](err)
	if !ok {
		return transientError{fmt.Errorf("asking the keyring: %w", err)}
	}
	switch e.Name {
	case "org.freedesktop.Secret.Error.IsLocked":
		return errLocked
	case "org.freedesktop.Secret.Error.NoSuchObject", "org.freedesktop.DBus.Error.UnknownObject":
		return errNotFound // it was deleted between two calls
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
		return transientError{errors.New("no keyring answers on the session bus: start gnome-keyring-daemon, KeePassXC or KWallet with its Secret Service")}
	case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Disconnected", "org.freedesktop.DBus.Error.TimedOut":
		return transientError{errors.New("the keyring ended or hung while it was asked")}
	}
	return fmt.Errorf("the keyring answers with %s", e.Name)
}
