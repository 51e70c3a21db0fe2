package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/fips"
)

// The SASL mechanisms of PostgreSQL that the broker speaks.
const (
	mechanismScram = "SCRAM-SHA-256"
	mechanismPlus  = "SCRAM-SHA-256-PLUS"
)

// exchange is one SCRAM conversation.
type exchange struct {
	keys         *derivation
	conversation *scram.ClientConversation
}

// saslStart picks the mechanism and sends the first message.
func (a *authenticator) saslStart(body []byte) error {
	var request pgproto3.AuthenticationSASL
	if request.Decode(body) != nil || len(request.AuthMechanisms) == 0 {
		return a.malformed()
	}
	if err := a.needPassword(); err != nil {
		return err
	}
	mechanism, err := a.mechanism(request.AuthMechanisms)
	if err != nil {
		return err
	}
	if err := fips.Key("the password", a.login.settings.password.Len()); err != nil {
		return database.Failure(connector.KindConfig, "logging in: the target %s: %w", a.login.address(), err)
	}
	a.scram = &exchange{keys: a.login.connector.keys.acquire(a.login.settings.password)}
	if err := a.converse(mechanism, slices.Contains(request.AuthMechanisms, mechanismPlus)); err != nil {
		return err
	}
	first, err := a.scram.conversation.Step("")
	if err != nil {
		return err
	}
	message, err := (&pgproto3.SASLInitialResponse{AuthMechanism: mechanism, Data: []byte(first)}).Encode(nil)
	if err != nil {
		return err
	}
	a.stage = stageContinue
	return a.login.send(message)
}

// mechanism picks from what the target offers. Over TLS the one with channel
// binding wins, unless the configuration says otherwise.
func (a *authenticator) mechanism(offered []string) (string, error) {
	plus := slices.Contains(offered, mechanismPlus)
	binding := a.login.connector.config.ChannelBinding
	switch {
	case plus && a.tls() == nil && !a.login.settings.plan.Address.Unix():
		// No target can bind to a certificate that it has not shown, so
		// somebody between has taken the encryption off.
		return "", database.Failure(connector.KindTLS, "logging in: the target %s offers %s over an unencrypted connection; somebody may be in the middle", a.login.address(), mechanismPlus)
	case plus && a.tls() != nil && binding != bindingDisable:
		return mechanismPlus, nil
	case binding == bindingRequire:
		return "", database.Failure(connector.KindTarget, "logging in: the target %s does not offer %s, which channelBinding require demands", a.login.address(), mechanismPlus)
	case slices.Contains(offered, mechanismScram):
		return mechanismScram, nil
	}
	return "", database.Failure(connector.KindTarget, "logging in: the target %s offers no SASL mechanism that the broker speaks (%s, %s)", a.login.address(), mechanismScram, mechanismPlus)
}

// converse starts the conversation with the flag of RFC 5802, section 6: p
// with the binding; y where we could have bound and the target did not offer
// it, so that a target whose offer was tampered with notices; n otherwise.
func (a *authenticator) converse(mechanism string, plusOffered bool) error {
	client := a.scram.keys.client
	state := a.tls()
	switch {
	case mechanism == mechanismPlus:
		connection := state.ConnectionState()
		binding, err := scram.NewTLSServerEndpointBinding(&connection)
		if err != nil {
			return database.Failure(connector.KindTLS, "logging in: the certificate of the target %s is signed in a way that defines no channel binding (%w); replace it, or set channelBinding: disable in config", a.login.address(), err)
		}
		a.bound = true
		a.scram.conversation = client.NewConversationWithChannelBinding(binding)
	case state != nil && !plusOffered && a.login.connector.config.ChannelBinding != bindingDisable:
		a.scram.conversation = client.NewConversationAdvertisingChannelBinding()
	default:
		a.scram.conversation = client.NewConversation()
	}
	return nil
}

// saslContinue answers the target's salt and iteration count with the proof.
func (a *authenticator) saslContinue(ctx context.Context, body []byte) error {
	var request pgproto3.AuthenticationSASLContinue
	if request.Decode(body) != nil {
		return a.malformed()
	}
	challenge := string(request.Data)
	first, err := parseServerFirst(challenge)
	if err != nil {
		return database.ProtocolError("logging in: SCRAM with the target %s: %w", a.login.address(), err)
	}
	config := a.login.connector.config
	if first.iterations < config.MinIterations || first.iterations > config.MaxIterations {
		return database.Failure(connector.KindTarget, "logging in: the target %s asks for %d SCRAM iterations, outside of %d to %d; if that is meant, change minIterations or maxIterations in config",
			a.login.address(), first.iterations, config.MinIterations, config.MaxIterations)
	}
	final, err := a.scram.keys.step(ctx, a.scram.conversation, challenge, first)
	if err != nil {
		return a.scramFailed(ctx)
	}
	message, err := (&pgproto3.SASLResponse{Data: []byte(final)}).Encode(nil)
	if err != nil {
		return err
	}
	a.stage = stageFinal
	return a.login.send(message)
}

// saslFinal checks that the target knows the password too.
func (a *authenticator) saslFinal(body []byte) error {
	var request pgproto3.AuthenticationSASLFinal
	if request.Decode(body) != nil {
		return a.malformed()
	}
	if _, err := a.scram.conversation.Step(string(request.Data)); err != nil || !a.scram.conversation.Valid() {
		return database.ProtocolError("logging in: the target %s could not prove that it knows the password; it may be an impostor", a.login.address())
	}
	a.stage = stageAnswered
	return nil
}

// scramFailed drops the library's text, which quotes the target.
func (a *authenticator) scramFailed(ctx context.Context) error {
	if ctx.Err() != nil {
		return database.Interrupted(ctx, a.login.address(), "logging in")
	}
	return database.ProtocolError("logging in: SCRAM with the target %s: its first message is not acceptable", a.login.address())
}
