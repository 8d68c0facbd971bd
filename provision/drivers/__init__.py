"""libcloud drivers: registered once, made from an inventory entry, one for each thread.

Every driver is a libcloud `NodeDriver`. Where the clouds differ, ours follow EC2's:

* `create_node(name=, size=, image=, ex_metadata={tag: value}, ex_userdata=text)`; and, where the
  capability is there, `ex_clienttoken=`, `ex_keyname=`, `ex_security_groups=[name, ...]`.
* `create_image(node, name, description=, ex_metadata={tag: value})` returns a NodeImage; it may
  come `pending`. `delete_image(image)`.
* `ex_create_tags(resource, {tag: value})` adds to and replaces tags of a node or image.
* `ex_get_console_output(node)["output"]`: what the machine wrote while it booted, or None.
* Node: `state`, `public_ips`, `private_ips`, `created_at` (aware) or `extra["launch_time"]` (ISO),
  `extra["tags"]`, `extra["image_id"]`, `extra["instance_type"]`, `extra["ssh_port"]` (22 if
  absent), `extra["client_token"]`.
* NodeImage: `id`, `name`, `extra["tags"]`, `extra["state"]` (`available` if absent, `pending`,
  `failed`), `extra["creation_date"]` (ISO).
* `list_nodes` also shows what is half made, `destroy_node` is done twice without an error.
"""
