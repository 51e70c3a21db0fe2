package connector

// Changing is implemented by Credentials that notice when a lookup brings other
// values than the one before. OnChange is called once, before the first Get; f
// gets the service and the names of the credentials, and must not block.
type Changing interface {
	OnChange(f func(service string, names []string))
}

// rotated tells the audit that the target took a secret that was fetched after
// it had rejected the one before.
func (s *Session) rotated() {
	if s.OnRotated != nil {
		s.OnRotated()
	}
}
