package testenv

import (
	"net"
	"strings"
	"testing"
)

func TestRefusing(t *testing.T) {
	at := Refusing(t).String()
	for range 3 {
		if _, err := net.Dial("tcp", at); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("dialling %s: %v", at, err)
		}
	}
	if l, err := net.Listen("tcp", at); err == nil {
		_ = l.Close()
		t.Errorf("%s can be listened on", at)
	}
}
