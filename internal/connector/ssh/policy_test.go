package ssh

import "testing"

// OpenSSH's own requests reach OpenSSH's server alone.
func TestRequestsForOpenSSHAlone(t *testing.T) {
	for _, openSSH := range []bool{false, true} {
		p := clientPolicy(Config{}, openSSH)
		if refused := p.request(channelSession, requestEOW); refused == openSSH {
			t.Errorf("OpenSSH %t: end of writing refused: %t", openSSH, refused)
		}
		if refused := p.global(globalNoMore); refused == openSSH {
			t.Errorf("OpenSSH %t: no more sessions refused: %t", openSSH, refused)
		}
		if p.request(channelSession, "signal") || p.global("keepalive@openssh.com") {
			t.Error("ordinary requests are refused")
		}
	}
}

func TestTargetsAreToldWhetherTheClientIsOpenSSH(t *testing.T) {
	for client, want := range map[string]string{
		"SSH-2.0-OpenSSH_9.2p1 Debian-2": versionOpenSSH, "SSH-2.0-Go": versionOther, "": versionOther,
	} {
		if got := versionFor([]byte(client)); got != want {
			t.Errorf("%q: got %q", client, got)
		}
	}
}
