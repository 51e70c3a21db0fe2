//go:build unix

package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"
)

// stage is a moment of a handshake: what was done before it, step by step.
type stage struct {
	name  string
	steps []func(io.ReadWriter) error
}

// stages are the prefixes of a conversation, each a stage; names has the name
// of each step's end.
func stages(names []string, steps ...func(io.ReadWriter) error) []stage {
	var all []stage
	for i, name := range names {
		all = append(all, stage{name, steps[:i+1]})
	}
	return all
}

func (s stage) reach(rw io.ReadWriter) error {
	for _, step := range s.steps {
		if err := step(rw); err != nil {
			return fmt.Errorf("reaching stage %q: %w", s.name, err)
		}
	}
	return nil
}

func says(text []byte) func(io.ReadWriter) error {
	return func(rw io.ReadWriter) error {
		_, err := rw.Write(text)
		return err
	}
}

// hears reads n bytes.
func hears(n int) func(io.ReadWriter) error {
	return func(rw io.ReadWriter) error {
		_, err := io.ReadFull(rw, make([]byte, n))
		return err
	}
}

// startup reads a packet as clients send first, without a type.
func startup(rw io.ReadWriter) error {
	var length [4]byte
	if _, err := io.ReadFull(rw, length[:]); err != nil {
		return err
	}
	return hears(int(binary.BigEndian.Uint32(length[:])) - 4)(rw)
}

func message(rw io.Reader) (kind byte, body []byte, err error) {
	var header [5]byte
	if _, err := io.ReadFull(rw, header[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint32(header[1:])-4)
	_, err = io.ReadFull(rw, body)
	return header[0], body, err
}

// encoded is one message of a server.
func encoded(m pgproto3.BackendMessage) []byte {
	b, err := m.Encode(nil)
	if err != nil {
		return nil // the conversation stops making sense, and its test fails
	}
	return b
}

// then is one step after the other, as one.
func then(steps ...func(io.ReadWriter) error) func(io.ReadWriter) error {
	return stage{"", steps}.reach
}

var (
	sslRequest = []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}
	greeting   = []byte("\x00\x00\x00\x22\x00\x03\x00\x00user\x00nobody\x00database\x00app\x00\x00")
)

// clientStages are those of a client before the broker turns to the target.
func clientStages() []stage {
	half := len(greeting) / 2
	return stages(
		[]string{"connected", "in the middle of SSLRequest", "SSLRequest answered", "in the middle of the startup packet"},
		says(nil), says(sslRequest[:4]), then(says(sslRequest[4:]), hears(1)), says(greeting[:half]))
}

// targetStages are those of a server that asks for SCRAM, and of one that
// begins with TLS.
func targetStages(password string) []stage {
	s := &scramServer{password: password}
	ask := encoded(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}})
	status := encoded(&pgproto3.ParameterStatus{Name: "server_version", Value: "15"})
	all := stages(
		[]string{
			"SSLRequest sent", "TLS refused", "in the middle of the SASL offer", "SASL begun", "in the middle of the SASL challenge",
			"SASL proof sent", "SASL finished", "authenticated", "in the middle of a parameter", "parameters sent", "key sent", "established",
		},
		hears(len(sslRequest)), then(says([]byte("N")), startup), says(ask[:6]), then(says(ask[6:]), s.first),
		s.challengeStart, then(s.challengeRest, s.proof), s.verdict, says(encoded(&pgproto3.AuthenticationOk{})),
		says(status[:len(status)/2]), says(status[len(status)/2:]),
		says(encoded(&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}})),
		says(encoded(&pgproto3.ReadyForQuery{TxStatus: 'I'})))
	return append(all, stage{"TLS begun", []func(io.ReadWriter) error{hears(len(sslRequest)), says([]byte("S")), hears(5)}})
}

// scramServer is the server's side of SCRAM-SHA-256.
type scramServer struct {
	password  string
	talk      *scram.ServerConversation
	challenge []byte
	answer    string
}

func (s *scramServer) first(rw io.ReadWriter) error {
	_, body, err := message(rw)
	if err != nil {
		return err
	}
	var m pgproto3.SASLInitialResponse
	if err := m.Decode(body); err != nil {
		return err
	}
	server, err := scram.SHA256.NewServer(s.lookup)
	if err != nil {
		return err
	}
	s.talk = server.NewConversation()
	text, err := s.talk.Step(string(m.Data))
	s.challenge = encoded(&pgproto3.AuthenticationSASLContinue{Data: []byte(text)})
	return err
}

func (s *scramServer) lookup(string) (scram.StoredCredentials, error) {
	client, err := scram.SHA256.NewClient("", s.password, "")
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "0123456789abcdef", Iters: 4096})
}

func (s *scramServer) challengeStart(rw io.ReadWriter) error { return says(s.challenge[:20])(rw) }
func (s *scramServer) challengeRest(rw io.ReadWriter) error  { return says(s.challenge[20:])(rw) }

func (s *scramServer) proof(rw io.ReadWriter) error {
	_, body, err := message(rw)
	if err != nil {
		return err
	}
	if s.answer, err = s.talk.Step(string(body)); err == nil && !s.talk.Valid() {
		err = errors.New("the password is wrong")
	}
	return err
}

func (s *scramServer) verdict(rw io.ReadWriter) error {
	return says(encoded(&pgproto3.AuthenticationSASLFinal{Data: []byte(s.answer)}))(rw)
}
