package mysql

import (
	"slices"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/fips"
	"secretless/internal/wire/mysqlwire"
)

const (
	// maxRounds bounds the packets of the target between its greeting and the
	// result. The longest honest way has five.
	maxRounds = 12
	// maxSwitches bounds the plugins that it may ask for in turn.
	maxSwitches = 3
)

// authenticator answers the target's requests for authentication.
type authenticator struct {
	login  *login
	plugin string
	// scramble is the challenge that plugin answers.
	scramble []byte
	switches int
	// awaitsKey says that the target was asked for its public key.
	awaitsKey bool
	// full says that the password itself was sent, encrypted or not.
	full bool
	// withheld is the plugin that requireAuth kept from answering the greeting.
	withheld string
}

// run answers the greeting and what follows it, and returns the target's OK.
func (a *authenticator) run() ([]byte, error) {
	if err := a.first(); err != nil {
		return nil, err
	}
	for range maxRounds {
		payload, err := a.login.read()
		if err != nil {
			return nil, err
		}
		if mysqlwire.KindOf(payload) == mysqlwire.KindOK {
			_, err := mysqlwire.ParseOK(payload)
			return slices.Clone(payload), err
		}
		if err := a.handle(payload); err != nil {
			return nil, err
		}
	}
	return nil, database.ProtocolError("logging in: the target %s asked more than %d times without a result", a.login.address(), maxRounds)
}

func (a *authenticator) handle(payload []byte) error {
	switch mysqlwire.KindOf(payload) {
	case mysqlwire.KindERR:
		return a.refused(payload)
	case mysqlwire.KindAuthSwitch:
		return a.switched(payload)
	case mysqlwire.KindAuthMoreData:
		return a.more(mysqlwire.AuthMoreData(payload))
	case mysqlwire.KindOldAuthSwitch:
		return a.unsupported("mysql_old_password")
	case mysqlwire.KindAuthNextFactor:
		return database.Failure(connector.KindTarget, "logging in: the target %s demands a second factor, which the broker does not have; use an account with one", a.login.address())
	}
	return database.ProtocolError("logging in: the target %s sent something else than a request or a result; does it speak MySQL?", a.login.address())
}

// first answers the greeting: for its plugin if the broker speaks that, else
// for the one that every server can switch away from; with nothing of use if
// requireAuth does not list it.
func (a *authenticator) first() error {
	greeting := a.login.greeting
	a.plugin, a.scramble = pluginNative, greeting.Scramble
	if slices.Contains(plugins(), greeting.Plugin) && greeting.Plugin != pluginEd25519 { // which needs a longer challenge
		a.plugin = greeting.Plugin
	}
	response := a.login.response()
	response.Plugin = a.plugin
	if a.login.connector.config.allows(a.plugin) {
		var err error
		if response.AuthResponse, err = a.answer(); err != nil {
			return err
		}
		defer clear(response.AuthResponse)
	} else {
		a.withheld = a.plugin
	}
	packet, err := response.Append(make([]byte, 0, response.Size()), a.login.sequence)
	if err != nil {
		return database.Failure(connector.KindConfig, "logging in to the target %s: %w", a.login.address(), err)
	}
	return a.login.write(packet)
}

// refused is the target's error; without an answer to the greeting it says
// nothing about the password.
func (a *authenticator) refused(payload []byte) error {
	var disclosed []byte
	if a.full {
		disclosed = a.login.settings.password.Bytes()
	}
	err := refusal(a.login.address(), payload, disclosed)
	if connector.KindOf(err) == connector.KindRejected && a.withheld != "" {
		return a.forbidden(a.withheld)
	}
	return err
}

// forbidden is said before anything is sent: what a target learns from an
// answer, it keeps.
func (a *authenticator) forbidden(plugin string) error {
	return database.Failure(connector.KindTarget, "logging in: the target %s asks for %s, which requireAuth does not list; somebody may be in the middle, or the list is too short", a.login.address(), database.Quote(plugin))
}

func (a *authenticator) unsupported(plugin string) error {
	return database.Failure(connector.KindTarget, "logging in: the target %s demands the authentication plugin %s, which the broker does not speak; give the account one of mysql_native_password, caching_sha2_password, sha256_password, client_ed25519", a.login.address(), database.Quote(plugin))
}

// switched goes over to another plugin.
func (a *authenticator) switched(payload []byte) error {
	request, err := mysqlwire.ParseAuthSwitchRequest(payload)
	if err != nil {
		return err
	}
	if a.switches++; a.switches > maxSwitches {
		return database.ProtocolError("logging in: the target %s changed the authentication plugin more than %d times", a.login.address(), maxSwitches)
	}
	if !slices.Contains(plugins(), request.Plugin) {
		return a.unsupported(request.Plugin)
	}
	if !a.login.connector.config.allows(request.Plugin) {
		return a.forbidden(request.Plugin)
	}
	a.plugin, a.scramble, a.awaitsKey, a.withheld = request.Plugin, request.Data, false, ""
	answer, err := a.answer()
	if err != nil {
		return err
	}
	return a.send(answer)
}

// send sends data as a packet and wipes it.
func (a *authenticator) send(data []byte) error {
	defer clear(data)
	return a.login.write(mysqlwire.AppendPacket(make([]byte, 0, len(data)+mysqlwire.HeaderSize), a.login.sequence, data))
}

// answer is the plugin's first answer to the challenge. The caller wipes it.
func (a *authenticator) answer() ([]byte, error) {
	password := a.login.settings.password.Bytes()
	if err := a.approved(len(password) > 0); err != nil {
		return nil, err
	}
	switch a.plugin {
	case pluginEd25519:
		if len(a.scramble) != ed25519Challenge {
			return nil, a.badScramble()
		}
		return signEd25519(password, a.scramble)
	case pluginClear:
		if !a.login.private() {
			return nil, database.Failure(connector.KindConfig, "logging in: the target %s asks for the password in clear text (%s) over an unencrypted connection; set sslmode to require or stronger", a.login.address(), a.plugin)
		}
		return a.cleartext(), nil
	}
	scramble, err := a.challenge()
	switch {
	case err != nil:
		return nil, err
	case len(password) == 0:
		return noPasswordAnswer(a.plugin), nil
	case a.plugin == pluginNative:
		return hashNative(password, scramble), nil
	case a.plugin == pluginCaching:
		return hashCaching(password, scramble), nil
	case a.login.private():
		return a.cleartext(), nil
	}
	return a.requestKey(requestKeySHA256)
}

// approved refuses in FIPS mode what is made of SHA-1, or of arithmetic that is
// not the module's.
func (a *authenticator) approved(password bool) error {
	if a.plugin != pluginEd25519 && (a.plugin != pluginNative || !password) {
		return nil
	}
	return a.inFIPSMode("authentication by "+a.plugin, "use an account with caching_sha2_password, or a client certificate")
}

func (a *authenticator) inFIPSMode(what, instead string) error {
	if err := fips.Refuse(what, instead); err != nil {
		return database.Failure(connector.KindConfig, "logging in: the target %s: %w", a.login.address(), err)
	}
	return nil
}

// challenge is the scramble without the NUL behind it. A shorter one would
// make the answer to it worth more than one login.
func (a *authenticator) challenge() ([]byte, error) {
	if len(a.scramble) < mysqlwire.ScrambleSize || len(a.scramble) > mysqlwire.ScrambleSize+1 {
		return nil, a.badScramble()
	}
	return a.scramble[:mysqlwire.ScrambleSize], nil
}

func (a *authenticator) badScramble() error {
	return database.ProtocolError("logging in: the target %s sent a challenge of %d bytes that %s cannot answer", a.login.address(), len(a.scramble), a.plugin)
}

// cleartext is the password as it is. The caller has made sure that nobody on
// the way can read.
func (a *authenticator) cleartext() []byte {
	a.full = true
	password := a.login.settings.password.Bytes()
	return append(append(make([]byte, 0, len(password)+1), password...), 0)
}

// more goes on with a plugin that needs more than one answer.
func (a *authenticator) more(data []byte) error {
	switch {
	case a.withheld != "":
		return a.forbidden(a.withheld)
	case a.awaitsKey:
		return a.encrypted(data)
	case a.plugin == pluginCaching && len(data) == 1 && data[0] == fastAuthSuccess:
		return nil
	case a.plugin == pluginCaching && len(data) == 1 && data[0] == performFullAuth && !a.full:
		return a.fullAuth()
	}
	return database.ProtocolError("logging in: the target %s sent data that %s does not expect", a.login.address(), a.plugin)
}
