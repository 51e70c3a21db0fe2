package ssh

// Names of requests and channels, from RFC 4254 and OpenSSH's PROTOCOL.
const (
	channelSession   = "session"
	channelX11       = "x11"
	channelAgent     = "auth-agent@openssh.com"
	channelTCP       = "forwarded-tcpip"
	channelLocal     = "forwarded-streamlocal@openssh.com"
	requestX11       = "x11-req"
	requestAgent     = "auth-agent-req@openssh.com"
	requestShell     = "shell"
	requestExec      = "exec"
	requestSubsystem = "subsystem"
	requestStatus    = "exit-status"
	requestSignal    = "exit-signal"
	requestEOW       = "eow@openssh.com"
	globalNoMore     = "no-more-sessions@openssh.com"
	globalHostKeys   = "hostkeys-00@openssh.com"
	globalProve      = "hostkeys-prove-00@openssh.com"
)

// policy says what of one side does not reach the other. The zero policy lets
// everything pass.
type policy struct {
	channel func(channelType string) (reason string)
	request func(channelType, request string) (refused bool)
	global  func(request string) (refused bool)
}

// clientPolicy is for what the client asks of the target. What it may do there
// is the target's to say; but a target that gets hold of the client's agent
// can use the client's own keys, so that takes a word in the configuration.
//
// What OpenSSH's client sends to OpenSSH's server alone, because others have
// broken off over it, does not reach a target that is none.
func clientPolicy(config Config, openSSH bool) policy {
	return policy{
		channel: func(string) string { return "" },
		request: func(channelType, request string) bool {
			switch request {
			case requestAgent:
				return channelType == channelSession && !config.AgentForwarding
			case requestX11:
				return channelType == channelSession && !config.X11Forwarding
			}
			return request == requestEOW && !openSSH
		},
		// The client knows the broker's host key, and no use of the target's.
		global: func(request string) bool {
			return request == globalProve || request == globalNoMore && !openSSH
		},
	}
}

// targetPolicy is for what the target asks of the client: nothing but what a
// client can have asked for.
func targetPolicy(config Config) policy {
	allowed := map[string]bool{
		channelTCP: true, channelLocal: true,
		channelAgent: config.AgentForwarding, channelX11: config.X11Forwarding,
	}
	return policy{
		channel: func(channelType string) string {
			if allowed[channelType] {
				return ""
			}
			return "the broker does not let targets open channels of this type"
		},
		request: func(string, string) bool { return false },
		// OpenSSH clients would write the target's keys into known_hosts for
		// the broker's address.
		global: func(request string) bool { return request == globalHostKeys },
	}
}

// starts says whether a request of a session begins what its data is for.
func starts(request string) bool {
	return request == requestShell || request == requestExec || request == requestSubsystem
}

// ends says whether a request tells how a session's program ended.
func ends(request string) bool { return request == requestStatus || request == requestSignal }
