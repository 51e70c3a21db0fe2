package testenv

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// start runs etcd and the API server and returns when that is ready.
func (k *KubeServer) start() error {
	err := k.etcd.launch()
	if err == nil {
		err = k.api.launch()
	}
	if err == nil {
		err = k.api.await(k.readyz, k.etcd)
	}
	if err != nil {
		k.Kill()
	}
	return err
}

// etcdProgram is small and quick: what it loses if the machine stops is of no
// interest.
func (k *KubeServer) etcdProgram() (program, error) {
	clients, peers := fmt.Sprintf("http://127.0.0.1:%d", k.clientsPort), fmt.Sprintf("http://127.0.0.1:%d", k.peersPort)
	return program{Path: kubeProgram("etcd"), Args: []string{
		"--data-dir=" + k.file("etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
		"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=default=" + peers,
	}}, nil
}

func (k *KubeServer) apiProgram() (program, error) {
	return program{Path: kubeProgram("kube-apiserver"), Args: []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", k.clientsPort),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", k.Port), "--endpoint-reconciler-type=none",
		"--cert-dir=" + k.api.dir, "--tls-cert-file=" + k.file("server.crt"), "--tls-private-key-file=" + k.file("server.key"),
		"--client-ca-file=" + k.CAFile(),
		"--authorization-mode=RBAC",
		// It would have every pod wait for a controller that makes accounts.
		"--disable-admission-plugins=ServiceAccount",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + k.file("accounts.pub"), "--service-account-signing-key-file=" + k.file("accounts.key"),
		"--service-cluster-ip-range=10.0.0.0/24", "--profiling=false",
	}}, k.writeKubeconfig()
}

// readyz is nil when the server says that it is ready, its own roles for RBAC
// included, to a client that nobody but this server knows.
func (k *KubeServer) readyz(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.URL()+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := k.admin.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return nil
}

// Stop ends the API server and etcd. It may be called on a stopped server.
func (k *KubeServer) Stop() {
	k.api.Stop()
	k.etcd.Stop()
}

// Kill ends them at once; clients see their connections break. What was stored
// is there again after Restart.
func (k *KubeServer) Kill() {
	k.api.Kill()
	k.etcd.Kill()
}

// Restart starts a stopped, killed or running server again, on the same port.
func (k *KubeServer) Restart(t testing.TB) {
	t.Helper()
	k.Stop()
	if err := k.start(); err != nil {
		t.Fatal(err)
	}
}

func (k *KubeServer) close() error { return closeAll(k.api.dir, k.api, k.etcd) }
