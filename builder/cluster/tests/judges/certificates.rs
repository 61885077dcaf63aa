//! Certificates of every layout, and ssh's keys, as OpenSSL and OpenSSH see them.

use super::*;

#[test]
fn kubeadm_certificates() {
    for (index, (name, tree)) in layers(&vm_3node()).iter().enumerate() {
        let desk = desk(tree);
        let dir = desk.path().join("etc/kubernetes/pki");
        let address = format!("10.0.2.1{}", index + 1);
        let more = if index == 0 {
            ", DNS:etcd.example.org"
        } else {
            ""
        };
        let names = format!(
            "X509v3 Subject Alternative Name: DNS:{name}, DNS:localhost{more}, \
             IP Address:{address}, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"
        );
        for (cert, common_name, server) in [
            ("etcd/server", name.as_str(), true),
            ("etcd/peer", name.as_str(), true),
            (
                "etcd/healthcheck-client",
                "kube-etcd-healthcheck-client",
                false,
            ),
            ("apiserver-etcd-client", "kube-apiserver-etcd-client", false),
        ] {
            let (crt, key) = (format!("{cert}.crt"), format!("{cert}.key"));
            let judge = |extra: &[&str]| verify(&dir, "etcd/ca.crt", &crt, extra);
            let (taken, said) = judge(&["-purpose", "sslclient"]);
            assert!(taken, "{cert}: {said}");
            assert_eq!(judge(&["-purpose", "sslserver"]).0, server, "{cert}");
            assert_eq!(judge(&["-verify_ip", &address]).0, server, "{cert}");
            assert_eq!(
                field(&dir, &crt, &["-subject"]),
                format!("subject=CN = {common_name}")
            );
            assert_eq!(field(&dir, &crt, &["-issuer"]), "issuer=CN = etcd-ca");
            let seen = field(&dir, &crt, &["-ext", "subjectAltName"]);
            if server {
                assert_eq!(seen, names);
            } else {
                assert!(seen.contains("No extensions"), "{seen}");
            }
            ok(&dir, "openssl", &["pkey", "-check", "-noout", "-in", &key]);
            assert_eq!(
                ok(&dir, "openssl", &["pkey", "-pubout", "-in", &key]),
                ok(&dir, "openssl", &["x509", "-pubkey", "-noout", "-in", &crt]),
            );
        }
    }
}

/// What kubeadm writes into each certificate (its `certs` and `pkiutil` packages), as OpenSSL
/// shows it, and how the builder's differ on purpose.
#[test]
fn every_field_is_as_kubeadm_s() {
    for key in ["p256", "rsa-2048", "ed25519"] {
        let recipe = vm_3node_with("", &format!("key = \"{key}\""));
        let (name, tree) = layers(&recipe).remove(1);
        let desk = desk(&tree);
        let dir = desk.path().join("etc/kubernetes/pki");
        // kubeadm always allows key encipherment; keys that only sign must not (RFC 8813 3).
        let usage = if key == "rsa-2048" {
            "Digital Signature, Key Encipherment"
        } else {
            "Digital Signature"
        };
        let names = format!(
            "DNS:{name}, DNS:localhost, IP Address:10.0.2.12, IP Address:127.0.0.1, \
             IP Address:0:0:0:0:0:0:0:1"
        );
        let both = "TLS Web Server Authentication, TLS Web Client Authentication";
        let client = "TLS Web Client Authentication";
        for (file, common_name, extended, names) in [
            ("etcd/server", name.as_str(), both, Some(&names)),
            ("etcd/peer", name.as_str(), both, Some(&names)),
            (
                "etcd/healthcheck-client",
                "kube-etcd-healthcheck-client",
                client,
                None,
            ),
            (
                "apiserver-etcd-client",
                "kube-apiserver-etcd-client",
                client,
                None,
            ),
        ] {
            let shown = field(&dir, &format!("{file}.crt"), &["-text"]);
            let mut expected = vec![
                "Version: 3 (0x2)".to_owned(),
                "Issuer: CN = etcd-ca Validity".to_owned(),
                // A year, as kubeadm's, from a day before the lock's epoch.
                "Not Before: May 27 20:26:40 2026 GMT Not After : May 28 20:26:40 2027 GMT"
                    .to_owned(),
                format!("Subject: CN = {common_name} Subject Public Key Info"),
                format!("X509v3 Key Usage: critical {usage} X509v3"),
                format!("X509v3 Extended Key Usage: {extended} X509v3"),
                "X509v3 Basic Constraints: critical CA:FALSE".to_owned(),
            ];
            expected.extend(names.map(|names| format!("Subject Alternative Name: {names} X509v3")));
            for expected in expected {
                assert!(
                    shown.contains(&expected),
                    "{key} {file}: {expected:?} not in {shown}"
                );
            }
            assert_eq!(shown.contains("Alternative Name"), names.is_some());
            let (taken, said) = verify(
                &dir,
                "etcd/ca.crt",
                &format!("{file}.crt"),
                &["-purpose", "sslclient"],
            );
            assert!(taken, "{key} {file}: {said}");
        }
        let shown = field(&dir, "etcd/ca.crt", &["-text"]);
        // kubeadm's has no path length, cannot sign revocation lists and answers to the name
        // etcd-ca: none of which a CA that signs leaves needs.
        for expected in [
            "Subject: CN = etcd-ca Subject",
            "Not After : May 25 20:26:40 2036 GMT",
            "X509v3 Basic Constraints: critical CA:TRUE, pathlen:0",
            "Certificate Sign, CRL Sign",
        ] {
            assert!(
                shown.contains(expected),
                "{key}: {expected:?} not in {shown}"
            );
        }
    }
}

#[test]
fn files_clients_and_a_node_of_its_own_kind() {
    let pki = r#"
        dir = "/etc/kubernetes/ssl"
        files = { ca = "ca.pem", server = "etcd.pem", server_key = "etcd-key.pem" }
        [[pki.client]]
        name = "prometheus"
        organisation = "monitoring"
        days = 30
        dir = "/etc/prometheus/tls"
        nodes = ["n2"]
        owner = "etcd"
        mode = "0440"
        [[pki.client]]
        name = "backup"
        common_name = "root"
        key = "rsa-2048"
    "#;
    let recipe = vm_3node_with("", pki);
    let layers = layers(&recipe);
    let at = "etc/prometheus/tls/prometheus";
    assert!(layers[0].1.at(&format!("{at}.crt")).is_none());
    let key = layers[1].1.at(&format!("{at}.key")).unwrap();
    assert_eq!((key.meta.mode, key.meta.uid), (0o440, ETCD.uid));
    let node = desk(&layers[1].1);
    let shown = field(node.path(), &format!("{at}.crt"), &["-subject", "-enddate"]);
    assert_eq!(
        shown,
        "subject=O = monitoring, CN = prometheus notAfter=Jun 27 20:26:40 2026 GMT"
    );
    let config = text(&layers[1].1, "etc/etcd/etcd.conf.yml");
    for line in [
        "cert-file: \"/etc/kubernetes/ssl/etcd.pem\"",
        "key-file: \"/etc/kubernetes/ssl/etcd-key.pem\"",
        "trusted-ca-file: \"/etc/kubernetes/ssl/ca.pem\"",
    ] {
        assert!(config.contains(line), "{config}");
    }
    assert!(layers[1].1.at("etc/kubernetes/ssl/etcd-key.pem").is_some());

    let bundle = with(&recipe, |composer| composer.admin().unwrap());
    let readme = text(&bundle, "README.md");
    assert!(
        readme.contains("| `backup.crt`, `backup.key` | another client certificate (user `root`)"),
        "{readme}"
    );
    assert_eq!(
        text(&bundle, "prometheus.crt"),
        text(&layers[1].1, &format!("{at}.crt")),
        "one certificate, wherever it is"
    );
    let facts = with(&recipe, |composer| composer.facts().unwrap());
    assert_eq!(facts.certificates_until, Epoch::from_u32(NOW + 30 * 86_400));
    assert_ne!(text(&bundle, "backup.key"), text(&bundle, "client.key"));
}

#[test]
fn a_generation_gives_one_node_new_keys() {
    let before = layers(&vm_3node());
    let mut recipe = vm_3node();
    recipe.nodes[0].pki.leaf.generation = 2;
    let after = layers(&recipe);
    let key = "etc/kubernetes/pki/etcd/server.key";
    assert_ne!(text(&before[0].1, key), text(&after[0].1, key));
    assert_eq!(text(&before[1].1, key), text(&after[1].1, key));
}

#[test]
fn shared_certificate() {
    let layers = layers(&pi_2node());
    let desk = desk(&layers[0].1);
    let dir = desk.path().join("etc/etcd");
    for extra in [
        ["-purpose", "sslserver"],
        ["-purpose", "sslclient"],
        ["-verify_ip", "192.168.1.20"],
        ["-verify_ip", "192.168.1.40"],
        ["-verify_hostname", "controller-1"],
        ["-verify_hostname", "localhost"],
    ] {
        let (taken, said) = verify(&dir, "ca.pem", "kubernetes.pem", &extra);
        assert!(taken, "{extra:?}: {said}");
    }
    for file in ["ca.pem", "kubernetes.pem", "kubernetes-key.pem"] {
        let path = format!("etc/etcd/{file}");
        assert_eq!(text(&layers[0].1, &path), text(&layers[1].1, &path));
    }
}

#[test]
fn admin_client_is_taken_and_foreign_one_is_not() {
    let recipe = vm_3node();
    let bundle = with(&recipe, |composer| composer.admin().unwrap());
    let desk = desk(&bundle);
    let client = ["-purpose", "sslclient"];
    let (taken, said) = verify(desk.path(), "ca.crt", "client.crt", &client);
    assert!(taken, "{said}");
    assert!(
        !verify(
            desk.path(),
            "ca.crt",
            "client.crt",
            &["-purpose", "sslserver"]
        )
        .0
    );
    let node = layers(&recipe).remove(0).1;
    let ca = text(&node, "etc/kubernetes/pki/etcd/ca.crt");
    assert_eq!(ca, text(&bundle, "ca.crt"));

    let other = with(&pi_2node(), |composer| composer.admin().unwrap());
    fs::write(desk.path().join("client.crt"), text(&other, "client.crt")).unwrap();
    assert!(!verify(desk.path(), "ca.crt", "client.crt", &client).0);
}

#[test]
fn ssh_keys() {
    let recipe = vm_3node();
    let tree = layers(&recipe).remove(1).1;
    let node = desk(&tree);
    let key = "etc/ssh/ssh_host_ed25519_key";
    let public = ok(node.path(), "ssh-keygen", &["-y", "-f", key]);
    assert_eq!(public.trim(), text(&tree, &format!("{key}.pub")).trim());
    let bundle = with(&recipe, |composer| composer.admin().unwrap());
    let admin = desk(&bundle);
    let found = ok(
        admin.path(),
        "ssh-keygen",
        &["-F", "10.0.2.12", "-f", "ssh_known_hosts"],
    );
    let body = public.split(' ').nth(1).unwrap();
    assert!(found.contains(body), "{found}");
}
