// Package database is what the database connectors share: the credentials that
// say where a target is and how to reach it, and failures that a client can be
// told.
package database

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"

	"secretless/internal/connector"
	"secretless/internal/target"
)

// Credentials are the names that mean the same to every database connector:
// host, port, username, password and those about TLS.
func Credentials(defaultPort int) []connector.Credential {
	return []connector.Credential{
		{Name: "host", Doc: "name, IP address or socket path of the target", Required: true, Check: CheckHost},
		{Name: "port", Doc: "port of the target", Default: strconv.Itoa(defaultPort), Check: checkPort},
		{Name: "username", Doc: "user to log in as", Required: true},
		{Name: "password", Doc: "password of the user; not needed where a client certificate is enough", Secret: true},
		{Name: "sslmode", Doc: "TLS to the target: disable, prefer, require, verify-ca or verify-full", Default: "require", Check: checkMode},
		{Name: "sslrootcert", Doc: "PEM text of the CAs to trust", Default: "the system's", Check: checkRoots},
		{Name: "sslcert", Doc: "PEM text of the client certificate", Check: checkCert},
		{Name: "sslkey", Doc: "PEM text of the client certificate's private key", Secret: true, Check: checkKey},
		{Name: "sslhost", Doc: "name to verify under verify-full instead of host"},
	}
}

// With is base with changed in place of the credentials of the same names, and
// those of other names behind them.
func With(base []connector.Credential, changed ...connector.Credential) []connector.Credential {
	out := append([]connector.Credential(nil), base...)
next:
	for _, c := range changed {
		for i := range out {
			if out[i].Name == c.Name {
				out[i] = c
				continue next
			}
		}
		out = append(out, c)
	}
	return out
}

// CheckHost is the check of a host that the file says.
func CheckHost(literal string) error {
	_, err := target.ParseAddress(literal, "", 1)
	return err
}

// CheckUsername is the check of a user name where the protocol has no empty
// one.
func CheckUsername(literal string) error {
	if literal == "" {
		return errors.New("username is empty")
	}
	return nil
}

func checkPort(literal string) error {
	if literal == "" {
		return nil
	}
	_, err := target.ParsePort(literal)
	return err
}

func checkMode(literal string) error {
	_, err := target.ParseMode(literal, target.Require)
	return err
}

func checkRoots(literal string) error {
	if literal == "" || x509.NewCertPool().AppendCertsFromPEM([]byte(literal)) {
		return nil
	}
	return errors.New("no PEM certificate; it is the text of the certificates, not the path of a file (use from: file for that)")
}

func checkCert(literal string) error {
	if literal == "" {
		return nil
	}
	block, rest := pem.Decode([]byte(literal))
	for block != nil && block.Type != "CERTIFICATE" { // the key may stand before it
		block, rest = pem.Decode(rest)
	}
	if block != nil {
		return nil
	}
	return errors.New("no PEM certificate; it is the text of the certificate, not the path of a file (use from: file for that)")
}

func checkKey(literal string) error {
	if block, _ := pem.Decode([]byte(literal)); literal == "" || block != nil {
		return nil
	}
	return errors.New("no PEM private key; it is the text of the key, not the path of a file (use from: file for that)")
}

// FieldError is an error about one key of the service's config section.
func FieldError(key, format string, args ...any) error {
	return &connector.FieldError{Path: []string{"config", key}, Err: fmt.Errorf(format, args...)}
}
