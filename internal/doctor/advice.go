package doctor

import (
	"errors"
	"fmt"

	"secretless/internal/connector"
)

var (
	errTimeout = errors.New("the service's handshakeTimeout ended")
	errPanic   = errors.New("the connector failed internally, see the log")
)

func typeName(v any) string { return fmt.Sprintf("%T", v) }

// advice is what to do about a failure of a kind at a service of a connector;
// the failure's own text says what is particular about it.
func advice(kind connector.Kind, of string) string {
	switch kind {
	case connector.KindCredentials:
		return "see that the provider works and has what get names; its page under docs/providers lists its errors"
	case connector.KindResolve:
		return "correct the target's name in the credentials, or the name service of this machine"
	case connector.KindConnect:
		return "start the target, correct its address in the credentials, or let this machine through its firewall"
	case connector.KindTLS:
		return adviceTLS(of)
	case connector.KindRejected:
		return "correct the user name or the secret where the provider reads it (a newline at its end is part of it), or at the target"
	case connector.KindDenied:
		return "correct user and secret, or give that user the right to log in from this machine, and to the database, at the target"
	case connector.KindTarget:
		return "correct what the target complains about; its own log says more"
	case connector.KindTargetLost, connector.KindProtocol:
		return "see that the address leads to the right kind of server, and look into its log"
	case connector.KindTimeout:
		return "see what is slow, the provider or the target; raise connectTimeout or handshakeTimeout if that is usual"
	case connector.KindConfig:
		return "correct the credential in the configuration or at its provider"
	case connector.KindStopping, connector.KindClientGone:
		return "run the command again"
	}
	return "this is a fault of the broker: report it with the log"
}

func adviceTLS(of string) string {
	switch of {
	case "pg", "mysql", "mssql":
		return "make sslmode, sslrootcert and sslhost fit what the target shows, or give it another certificate"
	case "ssh":
		return "make hostKey fit what the target shows, once you know that it is the right one"
	}
	return "give the target another certificate, or name its CA in SECRETLESS_HTTP_CA_BUNDLE"
}

func adviceUnverified(kind string) string {
	if kind == "ssh" {
		return "give the target's host key as hostKey in place of accept-any"
	}
	return "set sslmode to verify-full, with the CA's certificate as sslrootcert if it is your own"
}
