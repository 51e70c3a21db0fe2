package peer

// Allow is who may connect, as configured.
type Allow struct {
	Users       []string // names or numeric ids
	Groups      []string // names or numeric ids; supplementary groups count
	Executables []string // absolute paths
}

// Policy is a compiled Allow.
type Policy struct{}
