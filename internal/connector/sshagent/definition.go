package sshagent

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"secretless/internal/connector"
	"secretless/internal/connector/sshkey"
)

// lastNumber is the highest number of a key. sshd gives up after six attempts
// to log in by default, so that more keys than that are seldom of use.
const lastNumber = 8

// Definition is the entry of ssh-agent in the table of connectors.
func Definition() connector.Definition {
	return connector.Define(connector.Definition{
		ClientEnv:   clientEnv,
		Summary:     "SSH agent: lists keys and signs with them, and never hands them out",
		Credentials: credentials(),
	}, build)
}

// kinds are the names that a private key may have.
func kinds() []string { return []string{"privateKey", "rsa", "ecdsa", "ed25519"} }

// numbers are what stands behind the names of one key's credentials.
func numbers() []string {
	out := []string{""}
	for n := 2; n <= lastNumber; n++ {
		out = append(out, strconv.Itoa(n))
	}
	return out
}

func credentials() []connector.Credential {
	var out []connector.Credential
	for _, number := range numbers() {
		of := "the key"
		if number != "" {
			of = "key " + number
		}
		named := func(name, doc string) connector.Credential {
			return connector.Credential{Name: name + number, Doc: fmt.Sprintf(doc, of)}
		}
		private := named("privateKey", "%s, in PEM or OpenSSH's form: RSA, ECDSA or Ed25519")
		passphrase := named("passphrase", "passphrase of %s, where that is encrypted")
		private.Secret, passphrase.Secret = true, true
		private.Check = sshkey.CheckPrivate
		comment := named("comment", "comment of %s in ssh-add -l")
		comment.Default = "the service's name"
		lifetime := named("lifetime", "seconds from the service's start for which %s can be used")
		lifetime.Check = func(text string) error { _, err := parseLifetime(text); return err }
		confirm := named("confirm", "true: each use of %s is confirmed by the command confirm of config")
		confirm.Check = func(text string) error { _, err := parseConfirm(text); return err }
		confirm.Default = "false"
		out = append(out, private)
		for _, kind := range kinds()[1:] {
			c := named(kind, "%s, as privateKey, which must be of this type")
			c.Secret, c.Check = true, sshkey.CheckPrivate
			out = append(out, c)
		}
		out = append(out, passphrase, named("certificate", "OpenSSH certificate of %s"), comment, lifetime, confirm)
	}
	return out
}

func build(config Config, setup connector.Setup) (connector.Connector, error) {
	if err := errors.Join(checkCredentials(setup.Credentials), config.complete()); err != nil {
		return nil, err
	}
	return newConnector(config, setup.Log), nil
}

// checkCredentials looks at the names: there is a key, and everything else is
// about one.
func checkCredentials(names []string) error {
	var errs []error
	found := false
	for _, number := range numbers() {
		keys := keysOf(number, func(name string) bool { return slices.Contains(names, name) })
		found = found || len(keys) > 0
		for _, companion := range []string{"passphrase", "certificate", "comment", "lifetime", "confirm"} {
			if name := companion + number; len(keys) == 0 && slices.Contains(names, name) {
				errs = append(errs, credentialError(name, "credential %q belongs to no key: there is no privateKey%s", name, number))
			}
		}
		if name := "certificate" + number; len(keys) > 1 && slices.Contains(names, name) {
			errs = append(errs, credentialError(name, "credential %q could belong to %s; give each key a number of its own, as in privateKey2 and certificate2", name, strings.Join(keys, " or ")))
		}
	}
	if !found && len(errs) == 0 {
		errs = append(errs, &connector.FieldError{Path: []string{"credentials"}, Err: errors.New("an ssh-agent needs a key: add the credential privateKey")})
	}
	return errors.Join(errs...)
}

// keysOf are the names of the keys with a number that has knows.
func keysOf(number string, has func(string) bool) []string {
	var out []string
	for _, kind := range kinds() {
		if has(kind + number) {
			out = append(out, kind+number)
		}
	}
	return out
}

func credentialError(name, format string, args ...any) error {
	return &connector.FieldError{Path: []string{"credentials", name}, Err: fmt.Errorf(format, args...)}
}

func fieldError(key, format string, args ...any) error {
	return &connector.FieldError{Path: []string{"config", key}, Err: fmt.Errorf(format, args...)}
}
