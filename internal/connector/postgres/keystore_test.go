package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"secretless/internal/secret"
)

// prove runs one SCRAM exchange of d's password against a server that knows
// truth, and says whether both sides are convinced.
func prove(t *testing.T, d *derivation, truth, salt string, iterations int) bool {
	t.Helper()
	client, err := scram.SHA256.NewClientUnprepped("", truth, "")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: salt, Iters: iterations})
	if err != nil {
		t.Fatal(err)
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
	if err != nil {
		t.Fatal(err)
	}
	them, us := server.NewConversation(), d.client.NewConversation()
	first, _ := us.Step("")
	challenge, err := them.Step(first)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parseServerFirst(challenge)
	if err != nil || parsed.salt != salt || parsed.iterations != iterations {
		t.Fatalf("%+v, %v", parsed, err)
	}
	proof, err := d.step(context.Background(), us, challenge, parsed)
	if err != nil {
		t.Fatal(err)
	}
	end, err := them.Step(proof)
	if err != nil {
		return false
	}
	_, err = us.Step(end)
	return err == nil && us.Valid()
}

const rounds = 4096

func TestKeysAreDerivedOnce(t *testing.T) {
	s := newKeyStore()
	defer s.close()
	password := secret.Copy("sesame")
	first := s.acquire(password)
	for range 2 {
		if !prove(t, first, "sesame", "salt", rounds) {
			t.Fatal("not convinced")
		}
	}
	second := s.acquire(secret.Copy("sesame"))
	if first != second || len(first.factors) != 1 {
		t.Error("an equal password missed, or its keys were derived twice")
	}
	if other := s.acquire(secret.Copy("open")); other == first || prove(t, other, "sesame", "salt", rounds) {
		t.Error("another password hit")
	}
	first.release()
	second.release()
}

func TestRejectedPasswordIsWiped(t *testing.T) {
	s := newKeyStore()
	defer s.close()
	password := secret.Copy("sesame")
	user := s.acquire(password)
	s.drop(password)
	if user.password.Len() == 0 {
		t.Fatal("wiped under a connection that uses it")
	}
	if !prove(t, user, "sesame", "salt", rounds) {
		t.Error("not usable to the end")
	}
	if fresh := s.acquire(password); fresh == user {
		t.Error("still in the store")
	}
	user.release()
	if user.password.Len() != 0 || user.client != nil {
		t.Error("not wiped by its last user")
	}
	if password.Len() == 0 {
		t.Error("the credential itself was wiped: it is not the store's")
	}
}

// holds says whether d still has its password.
func holds(d *derivation) bool {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	return d.password.Len() > 0
}

func TestUnusedKeysAgeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyStore()
		old, young := s.acquire(secret.Copy("old")), s.acquire(secret.Copy("young"))
		old.release()
		young.release()
		time.Sleep(keyAge - time.Second)
		s.acquire(secret.Copy("young")).release()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if holds(old) || !holds(young) {
			t.Error("age is not counted from the last use")
		}
		time.Sleep(keyAge)
		synctest.Wait()
		if s.byUse.Len() != 0 || holds(young) || s.sweeper != nil {
			t.Error("something is left after a long pause")
		}
		s.acquire(secret.Copy("again")).release()
		time.Sleep(2 * keyAge)
		synctest.Wait()
		if s.byUse.Len() != 0 {
			t.Error("the sweeper did not start again")
		}
		s.close()
	})
}

func TestStoreIsBounded(t *testing.T) {
	s := newKeyStore()
	first := s.acquire(secret.Copy("0"))
	first.release()
	for i := range 3 * maxPasswords {
		s.acquire(secret.Copy(fmt.Sprint("p", i))).release()
	}
	if n := s.byUse.Len(); n != maxPasswords || len(s.entries) != n {
		t.Errorf("%d passwords", n)
	}
	if first.password.Len() != 0 {
		t.Error("the least recently used was not the one to go")
	}
	s.close()
	if s.byUse.Len() != 0 || len(s.entries) != 0 {
		t.Error("close left something")
	}
	late := s.acquire(secret.Copy("late"))
	if !prove(t, late, "late", "salt", rounds) || s.byUse.Len() != 0 {
		t.Error("a closed store must serve, and keep nothing")
	}
	late.release()
	if late.password.Len() != 0 {
		t.Error("not wiped")
	}
}

// A target that sends a new salt each time cannot fill the memory.
func TestSaltsAreBounded(t *testing.T) {
	s := newKeyStore()
	defer s.close()
	first := s.acquire(secret.Copy("sesame"))
	for i := range maxFactors {
		prove(t, first, "sesame", fmt.Sprint("salt", i), 1)
	}
	first.release()
	full := s.acquire(secret.Copy("sesame"))
	if full != first {
		t.Fatal("dropped too early")
	}
	if !prove(t, full, "sesame", "one more", 1) {
		t.Error("one salt too many must still log in")
	}
	full.release()
	if fresh := s.acquire(secret.Copy("sesame")); fresh == first || len(fresh.factors) != 0 {
		t.Error("the derivation with too many salts is still in the store")
	}
}

func TestManyConnectionsDeriveOnce(t *testing.T) {
	s := newKeyStore()
	defer s.close()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			d := s.acquire(secret.Copy("sesame"))
			defer d.release()
			if !prove(t, d, "sesame", "salt", rounds) {
				t.Error("not convinced")
			}
		})
	}
	all.Wait()
	if d := s.acquire(secret.Copy("sesame")); len(d.factors) != 1 {
		t.Errorf("%d factors", len(d.factors))
	}
}

// The same preparation as PostgreSQL's on the other side: SASLprep, and the
// password as it is where SASLprep refuses.
func TestPrepared(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                "plain",
		"tab\tand\x01":         "tab\tand\x01",
		"\u00aa":               "a",
		"I\u00adX":             "IX",
		"a\u00a0b":             "a b",
		"\xff\xfe":             "\xff\xfe",
		"\u0627\u0031":         "\u0627\u0031",
		"\U0001F600":           "\U0001F600",
		"\u00ad":               "\u00ad",
		"na\u0308ive":          "n\u00e4ive",
		strings.Repeat("é", 3): "ééé",
	} {
		if got := prepared(secret.Copy(in)); string(got.Bytes()) != want {
			t.Errorf("%q: got %q, want %q", in, got.Bytes(), want)
		}
	}
}
