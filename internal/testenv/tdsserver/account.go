package tdsserver

import "fmt"

// State is what keeps an account from logging in.
type State int

// The states of an account. All but Locked are told only to who knows the
// password, as the real one does.
const (
	Active     State = iota
	Disabled         // 18470
	Locked           // 18486
	Expired          // 18487
	MustChange       // 18488
)

// User is an account with a password.
type User struct {
	Name, Password string
	State          State
}

func loginFailed(name string) sqlError {
	return sqlError{18456, 14, 1, fmt.Sprintf("Login failed for user '%s'.", name)}
}

// refuse returns the errors a login is answered with, none for success. The
// comparison of passwords is exact; user names have the collation of the
// server, which is not case-sensitive.
func (u User) refuse(password string) []sqlError {
	switch {
	case u.State == Locked:
		return []sqlError{{18486, 14, 1, fmt.Sprintf("Login failed for user '%s' because the account is currently locked out. The system administrator can unlock it. ", u.Name)}}
	case u.Password != password:
		return []sqlError{loginFailed(u.Name)}
	case u.State == Disabled:
		return []sqlError{{18470, 14, 1, fmt.Sprintf("Login failed for user '%s'. Reason: The account is disabled.", u.Name)}}
	case u.State == Expired:
		return []sqlError{{18487, 14, 1, fmt.Sprintf("Login failed for user '%s'.  Reason: The password of the account has expired.", u.Name)}}
	case u.State == MustChange:
		return []sqlError{{18488, 14, 1, fmt.Sprintf("Login failed for user '%s'.  Reason: The password of the account must be changed.", u.Name)}}
	}
	return nil
}

// unknownDatabase is how a login to a database ends that does not exist.
func unknownDatabase(user, database string) []sqlError {
	return []sqlError{
		{4060, 11, 1, fmt.Sprintf(`Cannot open database "%s" requested by the login. The login failed.`, database)},
		loginFailed(user),
	}
}
