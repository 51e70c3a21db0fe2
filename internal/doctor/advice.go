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

// advice is what to do about a failure of a kind; the failure's own text says
// what is particular about it.
func advice(kind connector.Kind) string {
	switch kind {
	case connector.KindCredentials:
		return "mend the provider or the id under get; the provider's page lists its errors"
	case connector.KindResolve:
		return "correct host, or the name service of this machine"
	case connector.KindConnect:
		return "start the target, correct host and port, or let this machine through its firewall"
	case connector.KindTLS:
		return "make sslmode, sslrootcert and sslhost (for SSH hostKey) fit what the target shows, or mend its certificate"
	case connector.KindRejected:
		return "correct the user name or the secret where the provider reads it, or at the target"
	case connector.KindDenied:
		return "correct user and secret, or give that user the right to log in from this machine, and to the database, at the target"
	case connector.KindTarget:
		return "mend what the target complains about; its own log says more"
	case connector.KindTargetLost, connector.KindProtocol:
		return "see that host and port lead to the right kind of server, and look into its log"
	case connector.KindTimeout:
		return "see what is slow, the provider or the target; raise connectTimeout or handshakeTimeout if that is usual"
	case connector.KindConfig:
		return "correct the credential in the configuration or at its provider"
	case connector.KindStopping, connector.KindClientGone:
		return "run the command again"
	}
	return "this is a fault of the broker: report it with the log"
}

func adviceUnverified(kind string) string {
	if kind == "ssh" {
		return "give the target's host key as hostKey in place of accept-any"
	}
	return "set sslmode to verify-full, with the CA's certificate as sslrootcert if it is your own"
}
