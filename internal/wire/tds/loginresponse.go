package tds

import "encoding/binary"

// LoginResponse is what a server's answer to LOGIN7 says.
type LoginResponse struct {
	// Ack is nil where the login failed.
	Ack *LoginAck
	// Errors are the ERROR tokens in order.
	Errors []ServerError
	// Routing is where to go instead, nil if nowhere.
	Routing *Routing
	// Challenge is TokenSSPI or TokenFedAuthInfo where the server wants to go
	// on with that, else 0.
	Challenge TokenType
}

// ParseLoginResponse reads the body of the message that answers LOGIN7.
// version is that which the client asked for; the server may settle for less.
func ParseLoginResponse(body []byte, version uint32) (LoginResponse, error) {
	var out LoginResponse
	wide := Wide(version)
	for len(body) > 0 {
		t, rest, err := NextToken(body, wide)
		if err != nil {
			return LoginResponse{}, err
		}
		if err := out.add(t, wide); err != nil {
			return LoginResponse{}, err
		}
		if out.Ack != nil {
			wide = Wide(out.Ack.TDSVersion)
		}
		body = rest
	}
	return out, nil
}

func (r *LoginResponse) add(t Token, wide bool) error {
	switch t.Type {
	case TokenLoginAck:
		if r.Ack != nil {
			return malformed("login response", "two LOGINACK tokens")
		}
		ack, err := ParseLoginAck(t.Data)
		r.Ack = &ack
		return err
	case TokenError:
		e, err := ParseServerError(t.Data, wide)
		r.Errors = append(r.Errors, e)
		return err
	case TokenEnvChange:
		if len(t.Data) == 0 || EnvType(t.Data[0]) != EnvRouting {
			return nil
		}
		routing, err := ParseRouting(t.Data)
		r.Routing = &routing
		return err
	case TokenSSPI, TokenFedAuthInfo:
		r.Challenge = t.Type
	}
	return nil
}

// SetAckVersion replaces the version in the LOGINACK of a login's response, in
// place. body has been parsed with ParseLoginResponse.
func SetAckVersion(body []byte, requested, version uint32) {
	for wide := Wide(requested); len(body) > 0; {
		t, rest, err := NextToken(body, wide)
		if err != nil {
			return
		}
		if t.Type == TokenLoginAck {
			binary.BigEndian.PutUint32(t.Data[1:], version)
			return
		}
		body = rest
	}
}
